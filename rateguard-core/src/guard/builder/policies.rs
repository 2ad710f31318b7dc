//! Builder methods for policies and plans.

use std::mem::take;

use super::{RateGuardBuilder, settings::BuilderSettings};
#[cfg(feature = "config")]
use crate::key::KeyRecipes;
use crate::{
    BuildError, Plan, Policy, RateError,
    guard::{
        policies::Policies,
        policy_set::{AttributePolicy, PolicySet},
    },
};

impl<S> RateGuardBuilder<S> {
    /// Adds a policy. [`RateGuard::policy`](crate::RateGuard::policy) and the limits of an HTTP adapter find the
    /// policy by its name. All limits with this policy share their counts.
    ///
    /// [`build`](Self::build) returns an error if two policies have the same name. A policy with the same name in a
    /// policies file replaces this policy.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.settings.policies.push(policy);
        self
    }

    /// Adds a plan. An HTTP adapter can select the plan for a request by the name of the plan; see [`Plan::named`].
    ///
    /// The plan is a [`Plan`], a [`Quota`](crate::Quota), [`Quotas`](crate::Quotas), or text such as
    /// `"10/minute; 100/day"` or `"unlimited"`.
    ///
    /// [`build`](Self::build) returns an error if two plans have the same name, a name or a text is invalid, or a plan
    /// refers to another plan.
    ///
    /// ```
    /// # use actix_rateguard_core::{Plan, RateGuard};
    /// let guard = RateGuard::builder()
    ///     .plan("free", "10/minute; 100/day")
    ///     .plan("enterprise", Plan::Unlimited)
    ///     .build()?;
    /// # Ok::<(), actix_rateguard_core::BuildError>(())
    /// ```
    pub fn plan(
        mut self,
        name: impl Into<String>,
        plan: impl TryInto<Plan, Error: Into<RateError>>,
    ) -> Self {
        self.settings.plans.push((name.into(), plan.try_into().map_err(Into::into)));
        self
    }

    /// Sets the policies that macro attributes in the program use. The guard must have all of them.
    #[doc(hidden)]
    pub fn attribute_policies(mut self, attributes: Vec<AttributePolicy>) -> Self {
        self.settings.attributes = attributes;
        self
    }

    /// Sets the function that creates a key recipe for each key notation (such as `ip`) in a policies file. A key
    /// recipe determines the key of a request. By default, the key recipes find no key in any request.
    #[cfg(feature = "config")]
    #[doc(hidden)]
    pub fn key_recipes(mut self, recipes: KeyRecipes) -> Self {
        self.settings.file.key_recipes = recipes;
        self
    }
}

impl BuilderSettings {
    /// Moves the policies out of the builder, and merges them with the policies file if the builder has a file. The
    /// file may also change other settings of the builder.
    pub(super) fn policies(&mut self) -> Result<Policies, BuildError> {
        let (policies, plans) = (take(&mut self.policies), take(&mut self.plans));
        let plans = plans.into_iter().map(|(name, plan)| match plan {
            Ok(plan) => Ok((name, plan)),
            Err(error) => Err(BuildError::Plan { name, error }),
        });
        let plans = plans.collect::<Result<Vec<_>, _>>()?;
        let attributes = take(&mut self.attributes);
        let from_builder = PolicySet::from_builder(policies, plans, attributes, self.on_error)?;
        #[cfg(feature = "config")]
        {
            self.file.validate()?;
            if let Some(file) = self.file.path.take() {
                return self.open_file(file, from_builder);
            }
        }
        Policies::fixed(from_builder)
    }
}
