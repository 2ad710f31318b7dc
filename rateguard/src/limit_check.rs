//! The data with which the guard checks a request against one limit.

use std::{sync::Arc, time::Duration};

use actix_rateguard_core::RateGuard;
use smallvec::SmallVec;

use crate::{Key, Policy, count_rule::CountRule, on_reject::OnReject};

/// The data with which the guard checks a request against one limit.
#[derive(Clone)]
pub(crate) struct LimitCheck {
    pub(crate) policy: Policy,
    /// Whether the policy has the quotas of an override. [`enforce`](crate::enforce::enforce) applies the override.
    pub(crate) is_overridden: bool,
    /// The key. [`enforce`](crate::enforce::enforce) replaces this key with its hash, which the store uses.
    pub(crate) key: Key,
    pub(crate) counted_by: KeySource,
    /// Whether other clients of the same IPv6 network also use this key. A shared key is never banned, because the
    /// ban would affect all of these clients.
    pub(crate) is_shared: bool,
    pub(crate) cost: u32,
    /// The maximum time that the request waits for room in the limit. Zero if the limit denies it immediately.
    pub(crate) wait: Duration,
    /// Whether the request already holds a permit of the limit, so that this check needs none.
    pub(crate) holds_permit: bool,
    pub(crate) count: CountRule,
    /// The function of the limit that responds to rejected requests. `None` if the limit has no function.
    pub(crate) on_reject: Option<OnReject>,
    /// Whether the header fields of the response do not report the limit.
    pub(crate) hides_headers: bool,
    /// Whether the request still reaches its handler if the limit denies it.
    pub(crate) is_permissive: bool,
    /// Whether the handler of the request may replace the limit. The guard then refunds the units.
    pub(crate) is_replaceable: bool,
    /// Whether the permissive limit has already denied the request, so that a further denial is no offence.
    pub(crate) is_denied: bool,
}

impl LimitCheck {
    /// Hashes the key, and replaces the quotas of the policy if the key has an override.
    pub(crate) fn prepare(&mut self, guard: &RateGuard) {
        self.key = guard.hashed_key(&self.key);
        if let Some(policy) = guard.overridden_policy(&self.policy, &self.key) {
            self.policy = Arc::unwrap_or_clone(policy);
            self.is_overridden = true;
        }
    }

    /// Returns whether the limit counts the request regardless of its response.
    pub(crate) fn counts_always(&self) -> bool {
        self.count.counts_always()
    }

    /// Returns whether the limit rejects requests: it is neither in shadow mode nor permissive.
    pub(crate) fn is_enforced(&self) -> bool {
        !self.policy.is_in_shadow() && !self.is_permissive
    }

    /// Returns whether the guard may have to refund the units after the response.
    pub(crate) fn may_be_refunded(&self) -> bool {
        !self.counts_always() || self.is_replaceable
    }

    /// Returns whether an admitted request takes a permit, which it holds until its response ends.
    pub(crate) fn takes_permit(&self) -> bool {
        !self.holds_permit && self.policy.has_permits()
    }

    /// Returns whether the request may wait for room in the limit.
    pub(crate) fn may_wait(&self) -> bool {
        !self.wait.is_zero()
    }

    /// Returns whether the guard must keep what the check takes, to refund units or to release permits, or whether the
    /// request may wait. A request that may wait must not overtake the requests in its queue, so a check without a
    /// reservation, which does not look at the queue, cannot decide on it.
    pub(crate) fn needs_reservation(&self) -> bool {
        self.may_be_refunded() || self.may_wait() || self.policy.has_permits()
    }

    /// Returns whether the guard counts no offence if it denies the check.
    ///
    /// A client with too many offences is banned. If a limit counts only some responses, the guard may later refund the
    /// units of other requests. These units may be the reason for a denial, so a denial is not an offence of such a
    /// limit. Instead, each response that counts is an offence. For a key that several clients share, the guard counts
    /// no offences.
    pub(crate) fn is_exempt_from_ban(&self) -> bool {
        !self.counts_always() || self.is_shared || self.is_denied
    }
}

/// The source of the key by which a limit counts a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeySource {
    /// The limit counts the request by the limit's key.
    Key,
    /// The limit counts the request by the client's address, because the request lacks the limit's key.
    Address,
}

impl KeySource {
    /// Returns the name of the source in snake case. The name is stable, so a program can depend on it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Address => "address",
        }
    }
}

/// The checks whose results the guard combines into one decision.
pub(crate) type LimitChecks = SmallVec<[LimitCheck; 1]>;
