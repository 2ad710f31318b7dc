//! The policies of a guard, and the names that the attributes of the program ask for.

use super::{
    BuildError,
    policy_set::{PolicySet, PolicySetRef},
};
use crate::OnError;
#[cfg(feature = "config")]
use crate::config::PoliciesFile;

/// Where they come from.
pub(super) enum Policies {
    /// From the program.
    Fixed(Box<PolicySet>),
    /// From the program, and from a file that goes before it.
    #[cfg(feature = "config")]
    OfFile(Box<PoliciesFile>),
}

impl Policies {
    /// The policies of the program, if they are all that attributes ask for.
    ///
    /// A guard without any may be one that no attribute is meant for, and is not asked.
    pub(super) fn fixed(policy_set: PolicySet) -> Result<Self, BuildError> {
        if policy_set.policies().next().is_some()
            && let Some(unknown) = policy_set.missing_for_attributes().next()
        {
            return Err(BuildError::UnknownPolicy {
                name: unknown.name.to_owned(),
                place: unknown.location.to_owned(),
                known: policy_set.policy_names().into_iter().map(str::to_owned).collect(),
            });
        }
        Ok(Self::Fixed(Box::new(policy_set)))
    }

    pub(super) fn current(&self) -> PolicySetRef<'_> {
        match self {
            Self::Fixed(policy_set) => PolicySetRef::Fixed(policy_set),
            #[cfg(feature = "config")]
            Self::OfFile(file) => PolicySetRef::OfFile(file.policy_set()),
        }
    }

    pub(super) fn on_error(&self) -> OnError {
        match self {
            Self::Fixed(policy_set) => policy_set.on_error,
            #[cfg(feature = "config")]
            Self::OfFile(file) => file.on_error(),
        }
    }
}
