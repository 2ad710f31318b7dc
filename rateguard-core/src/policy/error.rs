//! Defines the error for an invalid policy.

use std::{error::Error, fmt};

use actix_rateguard_grammar::NameError;

use crate::{BanSpecError, RateError};

/// The reason why a policy is invalid.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyError {
    /// The name is invalid.
    Name(NameError),
    /// A quota is invalid.
    Quota(RateError),
    /// The ban is invalid.
    Ban(BanSpecError),
    /// The policy has a [candidate](crate::Policy::candidate) although it is in [shadow
    /// mode](crate::Policy::shadow). A policy in shadow mode has no enforced quotas that a candidate could replace.
    Shadow,
    /// The [rollout](crate::Policy::rollout) is above 100 percent, or the policy has a rollout but no candidate.
    Rollout,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => error.fmt(f),
            Self::Quota(error) => error.fmt(f),
            Self::Ban(error) => error.fmt(f),
            Self::Shadow => f.write_str(
                "a policy in shadow cannot have a candidate; remove `shadow` or the candidate",
            ),
            Self::Rollout => f.write_str(
                "expected a rollout from 0 to 100 percent for a policy with a candidate; add the candidate first",
            ),
        }
    }
}

actix_rateguard_grammar::debug_as_display!(PolicyError);

impl Error for PolicyError {}
