//! Defines which part of a policy is in shadow mode.

use actix_rateguard_grammar::Quotas;

use super::{PolicyName, rollout::Rollout};

/// The part of a policy that is in shadow mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ShadowMode {
    /// The whole policy is in shadow mode.
    Whole,
    /// The candidate quotas are in shadow mode, except for the keys that the rollout includes.
    Candidate(Candidate),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The name of the candidate's buckets in the store, in place of the policy name.
    pub(super) name: PolicyName,
    pub(super) quotas: Quotas,
    pub(super) rollout: Rollout,
}

impl Candidate {
    pub(super) fn new(policy: &str, quotas: Quotas, rollout: Rollout) -> Self {
        // A policy name cannot contain braces, so no policy has this name.
        Self { name: PolicyName::of(&format!("{policy}{{shadow}}")), quotas, rollout }
    }
}

/// One of the two lists of quotas that a policy can have. Each list has separate buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QuotaVariant {
    /// The policy's own quotas.
    Own,
    /// The quotas of the policy's candidate.
    Candidate,
}

impl QuotaVariant {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Own => Self::Candidate,
            Self::Candidate => Self::Own,
        }
    }
}

impl std::fmt::Display for ShadowMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole => f.write_str("the whole policy"),
            Self::Candidate(Candidate { quotas, rollout, .. }) => {
                write!(f, "{quotas} for {rollout} of the keys")
            }
        }
    }
}
