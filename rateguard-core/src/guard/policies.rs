//! A guard gets its policies from the program, and also from a policies file if it has such a file.

use super::{
    BuildError,
    policy_set::{PolicySet, PolicySetRef},
};
use crate::OnError;

/// The policies of a guard. The variant shows where the policies come from.
pub(super) enum Policies {
    /// The policies of the program. They never change.
    Fixed(Box<PolicySet>),
    /// The policies of the program and of a policies file. A policy in the file replaces the program's policy with
    /// the same name. The policies change when the file changes.
    #[cfg(feature = "config")]
    FromFile(Box<crate::config::PoliciesFile>),
}

impl Policies {
    /// Creates the policies of a guard without a policies file.
    ///
    /// # Errors
    ///
    /// [`BuildError::UnknownPolicy`] if a macro attribute uses a policy that is not in the set.
    pub(super) fn fixed(policy_set: PolicySet) -> Result<Self, BuildError> {
        if let Some(unknown) = policy_set.missing_for_attributes().next() {
            return Err(policy_set.unknown_policy(unknown.name, unknown.location));
        }
        Ok(Self::Fixed(Box::new(policy_set)))
    }

    pub(super) fn current(&self) -> PolicySetRef<'_> {
        match self {
            Self::Fixed(policy_set) => PolicySetRef::Fixed(policy_set),
            #[cfg(feature = "config")]
            Self::FromFile(file) => PolicySetRef::FromFile(file.policy_set()),
        }
    }

    pub(super) fn on_error(&self) -> OnError {
        match self {
            Self::Fixed(policy_set) => policy_set.on_error,
            #[cfg(feature = "config")]
            Self::FromFile(file) => file.on_error(),
        }
    }
}
