//! The explanation of a request.

use std::time::Duration;

use super::Outcome;
use crate::{client_address::AddressTrace, inventory::LimitInfo, limit_check::KeySource};

/// Explains what the limits of a guard would do with an HTTP request, and why.
///
/// [`RateGuard::explain_request`](crate::RateGuard::explain_request) returns the explanation. `Display` formats the
/// explanation as text, one limit per line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub(super) client: AddressTrace,
    pub(super) limits: Vec<ExplainedLimit>,
}

/// Explains what one limit would do with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExplainedLimit {
    /// The limit.
    pub limit: LimitInfo,
    /// The source of the key that the request is counted by. `None` if the limit does not count the request.
    pub counted_by: Option<KeySource>,
    /// The cost of the request in units. `None` if the limit does not count the request.
    pub cost: Option<u32>,
    /// Whether the limit's [candidate](crate::Policy::candidate) is enforced for this key instead of the limit's own
    /// quotas. `None` if the limit has no candidate or the request no key.
    pub is_rolled_out: Option<bool>,
    /// The outcome of the request against this limit.
    pub outcome: Outcome,
}

impl Explanation {
    /// Returns how the client's address was determined.
    #[must_use]
    pub fn client(&self) -> &AddressTrace {
        &self.client
    }

    /// Returns the explained limits, in the order of the [inventory](crate::RateGuard::inventory).
    #[must_use]
    pub fn limits(&self) -> &[ExplainedLimit] {
        &self.limits
    }

    /// Returns whether the request would pass all of these limits. `None` if the outcome of a limit is unknown and no
    /// other limit rejects the request.
    #[must_use]
    pub fn passes(&self) -> Option<bool> {
        let each = || self.limits.iter().map(|it| it.outcome.passes());
        if each().any(|passes| passes == Some(false)) {
            return Some(false);
        }
        each().all(|passes| passes == Some(true)).then_some(true)
    }

    /// Returns how long the request has to wait until it passes all limits. `None` if no limit rejects the request, or
    /// waiting does not help.
    ///
    /// A real request may have to wait longer: an outer limit counts the request before an inner limit denies it.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let denied = self.limits.iter().filter(|it| it.outcome.passes() == Some(false));
        let waits: Option<Vec<_>> = denied.map(|it| it.outcome.retry_after()).collect();
        waits?.into_iter().max()
    }
}
