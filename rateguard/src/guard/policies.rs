//! The policies of a guard, and the names that the attributes of the program ask for.

use std::mem::take;

use super::{
    BuildError, RateGuard, RateGuardBuilder,
    in_force::{Current, InForce},
};
#[cfg(feature = "config")]
use crate::config::PoliciesFile;
use crate::{OnError, Plan, Policy};

/// Where they come from.
pub(super) enum Policies {
    /// From the program.
    Fixed(Box<InForce>),
    /// From the program, and from a file that goes before it.
    #[cfg(feature = "config")]
    OfFile(Box<PoliciesFile>),
}

impl Policies {
    /// The policies of the program, if they are all that attributes ask for.
    ///
    /// A guard without any may be one that no attribute is meant for, and is not asked.
    pub(super) fn fixed(
        in_force: InForce,
        #[cfg_attr(not(feature = "macros"), allow(unused_variables))] is_for_attributes: bool,
    ) -> Result<Self, BuildError> {
        #[cfg(feature = "macros")]
        if is_for_attributes
            && in_force.policies().next().is_some()
            && let Some(unknown) = in_force.lacks_for_attributes().next()
        {
            return Err(BuildError::UnknownPolicy {
                name: unknown.name.to_owned(),
                place: unknown.place.to_owned(),
                known: in_force.policy_names().into_iter().map(str::to_owned).collect(),
            });
        }
        Ok(Self::Fixed(Box::new(in_force)))
    }

    fn current(&self) -> Current<'_> {
        match self {
            Self::Fixed(in_force) => Current::Fixed(in_force),
            #[cfg(feature = "config")]
            Self::OfFile(file) => Current::OfFile(file.in_force()),
        }
    }

    fn on_error(&self) -> OnError {
        match self {
            Self::Fixed(in_force) => in_force.on_error,
            #[cfg(feature = "config")]
            Self::OfFile(file) => file.on_error(),
        }
    }
}

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
    /// # use rateguard::{Plan, RateGuard};
    /// let guard = RateGuard::builder()
    ///     .plan("free", Plan::of("10/minute; 100/day"))
    ///     .plan("enterprise", Plan::Unlimited)
    ///     .build()?;
    /// # Ok::<(), rateguard::BuildError>(())
    /// ```
    pub fn plan(mut self, name: impl Into<String>, plan: impl Into<Plan>) -> Self {
        self.plans.push((name.into(), plan.into()));
        self
    }

    /// Whether attributes find this guard in the application's data. If not, it need not have the policies that they name.
    /// Default: yes.
    pub fn for_attributes(mut self, is_for_attributes: bool) -> Self {
        self.is_for_attributes = is_for_attributes;
        self.http.is_for_attributes = is_for_attributes;
        self
    }

    /// What the program says of policies, and a file if there is one, which may change other settings, too.
    pub(super) fn policies(&mut self) -> Result<Policies, BuildError> {
        let (policies, plans) = (take(&mut self.policies), take(&mut self.plans));
        let of_code = InForce::of_code(policies, plans, self.on_error)?;
        #[cfg(feature = "config")]
        if let Some(file) = self.file.take() {
            return self.open_file(file, of_code);
        }
        Policies::fixed(of_code, self.is_for_attributes)
    }
}

impl RateGuard {
    /// The policy of this name as it is now, if the guard was [given](RateGuardBuilder::policy) one or its file has
    /// one. Where there is a file, ask for it each time: it may have changed.
    #[must_use]
    pub fn policy(&self, name: &str) -> Option<Policy> {
        self.in_force().policy(name).map(|named| named.policy.clone())
    }

    pub(crate) fn in_force(&self) -> Current<'_> {
        self.shared.policies.current()
    }

    /// What happens without an answer where a policy does not say it.
    pub(super) fn on_error(&self) -> OnError {
        self.shared.policies.on_error()
    }
}

/// An attribute that takes its policy from the guard in the application's data, whichever that is.
///
/// The linker collects all of a program before it starts, so that a name that does not exist is found then.
#[cfg(feature = "macros")]
pub struct AskedPolicy {
    /// The name of the policy.
    pub name: &'static str,
    /// The file and line of the attribute.
    pub place: &'static str,
    /// What each request costs, or 1 if that is not the same for all.
    pub cost: u32,
}

#[cfg(feature = "macros")]
inventory::collect!(AskedPolicy);
