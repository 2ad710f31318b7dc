//! What is told of a request.

use std::time::Duration;

use super::Outcome;
use crate::{AddressWalk, KnownLimit};

/// What the limits of a guard would do with a request, and why, made by
/// [`RateGuard::explain_request`](crate::RateGuard::explain_request). `Display` writes it for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub(super) client: AddressWalk,
    pub(super) limits: Vec<ExplainedLimit>,
}

/// One limit, and what it would do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExplainedLimit {
    /// The limit.
    pub limit: KnownLimit,
    /// What the request is counted by, if it is.
    pub counted_by: Option<CountedBy>,
    /// What the request costs, if it is counted.
    pub cost: Option<u32>,
    /// Whether the limit's [candidate](crate::Policy::candidate) is enforced for this key, in place of its own quotas; `None` if
    /// there is no candidate, or no key.
    pub is_rolled_out: Option<bool>,
    /// Whether functions of the limit were called that may look at more of a request than was described. Never of a real
    /// request.
    pub is_guess: bool,
    /// What would come of it.
    pub outcome: Outcome,
}

/// What a request is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CountedBy {
    /// The key of the limit.
    Key,
    /// The client's address, as it has no key.
    Address,
}

impl CountedBy {
    /// A word for programs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Address => "address",
        }
    }
}

impl Explanation {
    /// How the client's address was found.
    #[must_use]
    pub fn client(&self) -> &AddressWalk {
        &self.client
    }

    /// The limits that were asked about.
    #[must_use]
    pub fn limits(&self) -> &[ExplainedLimit] {
        &self.limits
    }

    /// Whether a request that meets all of these limits would pass; `None` if that cannot be told.
    #[must_use]
    pub fn passes(&self) -> Option<bool> {
        let each = || self.limits.iter().map(|it| it.outcome.passes());
        if each().any(|passes| passes == Some(false)) {
            return Some(false);
        }
        each().all(|passes| passes == Some(true)).then_some(true)
    }

    /// After how long it would pass all of them, if waiting is what helps.
    ///
    /// A request that is denied may be told to wait for longer, if a limit around the one that denied has let it pass before: that
    /// one it has taken of, maybe the last.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let denied = self.limits.iter().filter(|it| it.outcome.passes() == Some(false));
        let waits: Option<Vec<_>> = denied.map(|it| it.outcome.retry_after()).collect();
        waits?.into_iter().max()
    }
}
