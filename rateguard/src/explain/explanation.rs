//! Explains what the limits of a guard would do with a request.

use std::time::Duration;

use super::Outcome;
use crate::{client_address::AddressTrace, inventory::LimitInfo, limit_check::KeySource};

/// An explanation of what the limits of a guard would do with an HTTP request, and why.
///
/// [`RateGuard::explain_request`](crate::RateGuard::explain_request) returns this explanation. `Display` formats
/// the explanation as text with one line for each limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub(super) client: AddressTrace,
    pub(super) limits: Vec<ExplainedLimit>,
}

/// An explanation of what one limit would do with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExplainedLimit {
    /// The description of the limit.
    pub limit: LimitInfo,
    /// The source of the key by which the limit counts the request. `None` if the limit does not count the request.
    pub counted_by: Option<KeySource>,
    /// The cost of the request in units. `None` if the limit does not count the request.
    pub cost: Option<u32>,
    /// Whether the guard enforces the limit's [candidate](crate::Policy::candidate) quotas for this key. If
    /// `false`, the guard enforces the limit's regular quotas. `None` if the limit has no candidate, or if the
    /// limit does not count the request.
    pub is_rolled_out: Option<bool>,
    /// Whether an [override](actix_rateguard_core::RateGuard::set_override) replaces the quotas of the limit for this
    /// key. `None` if the limit does not count the request.
    pub is_overridden: Option<bool>,
    /// The outcome that this limit would have for the request.
    pub outcome: Outcome,
}

impl ExplainedLimit {
    /// Returns how long the request would [wait](crate::Limit::wait) until this limit admits it, if no other request waits
    /// for the same key in this process. The result is `None` if the request would not wait.
    #[must_use]
    pub fn would_wait(&self) -> Option<Duration> {
        let is_denied = self.outcome.passes() == Some(false);
        self.outcome.retry_after().filter(|wait| is_denied && *wait <= self.limit.wait)
    }

    /// Returns whether the request would pass this limit, possibly after a wait. The result is `None` if the outcome is
    /// unknown.
    #[must_use]
    pub fn passes(&self) -> Option<bool> {
        if self.would_wait().is_some() { Some(true) } else { self.outcome.passes() }
    }
}

impl Explanation {
    /// Returns the steps by which the guard determined the client's address.
    #[must_use]
    pub fn client(&self) -> &AddressTrace {
        &self.client
    }

    /// Returns the explanations of the limits. Their order is the order of the limits in the
    /// [inventory](crate::RateGuard::inventory).
    #[must_use]
    pub fn limits(&self) -> &[ExplainedLimit] {
        &self.limits
    }

    /// Returns whether the request would pass all explained limits, possibly after a wait. The result is `None` if no limit rejects the
    /// request, but the outcome of at least one limit is unknown.
    #[must_use]
    pub fn passes(&self) -> Option<bool> {
        let each = || self.limits.iter().map(ExplainedLimit::passes);
        if each().any(|passes| passes == Some(false)) {
            return Some(false);
        }
        each().all(|passes| passes == Some(true)).then_some(true)
    }

    /// Returns how long the client has to wait until the request would pass all limits. The result is `None` in three
    /// cases: no limit rejects the request, a limit would reject the request however long the client waits, or a limit
    /// rejects it because of requests in progress, and nobody knows when they end.
    ///
    /// It is possible that a client must wait longer than the returned time, because an outer limit counts each attempt
    /// of the client, even if an inner limit then denies the attempt.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let denied = self.limits.iter().filter(|it| it.passes() == Some(false));
        let waits: Option<Vec<_>> = denied.map(|it| it.outcome.retry_after()).collect();
        waits?.into_iter().max()
    }
}
