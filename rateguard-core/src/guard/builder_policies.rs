//! Policies and plans of a builder.

use std::mem::take;

use super::{
    BuildError, RateGuardBuilder,
    policies::Policies,
    policy_set::{AttributePolicy, PolicySet},
};
#[cfg(feature = "config")]
use crate::key::KeyRecipes;
use crate::{Plan, Policy};

impl RateGuardBuilder {
    /// A policy that limits take by its name: `#[rate_limit(policy = "search")]`, and
    /// [`RateLimit::policy`](crate::RateLimit::policy). Limits that take one policy share its counts.
    ///
    /// A guard that has policies has to have all that the program's attributes name, but those with a `limiter` of their own:
    /// which guard they find is known only when a request comes. [`for_attributes`](Self::for_attributes) says that it is
    /// not this one.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policies.push(policy);
        self
    }

    /// A plan that limits take by its name, as a function returns it for a request: [`Plan::Named`].
    ///
    /// ```
    /// # use actix_rateguard_core::{Plan, RateGuard};
    /// let guard = RateGuard::builder()
    ///     .plan("free", Plan::of("10/minute; 100/day"))
    ///     .plan("enterprise", Plan::Unlimited)
    ///     .build()?;
    /// # Ok::<(), actix_rateguard_core::BuildError>(())
    /// ```
    pub fn plan(mut self, name: impl Into<String>, plan: impl Into<Plan>) -> Self {
        self.plans.push((name.into(), plan.into()));
        self
    }

    /// The policies that attributes of the program use, each of which the guard must have if it has any policy.
    #[doc(hidden)]
    pub fn attribute_policies(mut self, attributes: Vec<AttributePolicy>) -> Self {
        self.attributes = attributes;
        self
    }

    /// How keys of a policies file become keys of requests. By default no request has such a key.
    #[cfg(feature = "config")]
    #[doc(hidden)]
    pub fn key_recipes(mut self, recipes: KeyRecipes) -> Self {
        self.key_recipes = recipes;
        self
    }

    /// What the program says of policies, and a file if there is one, which may change other settings, too.
    pub(super) fn policies(&mut self) -> Result<Policies, BuildError> {
        let (policies, plans) = (take(&mut self.policies), take(&mut self.plans));
        let attributes = take(&mut self.attributes);
        let from_builder = PolicySet::from_builder(policies, plans, attributes, self.on_error)?;
        #[cfg(feature = "config")]
        if let Some(file) = self.file.take() {
            return self.open_file(file, from_builder);
        }
        Policies::fixed(from_builder)
    }
}
