//! The data with which the guard checks a request against one limit.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::{Key, Policy, count_rule::CountRuleRef, on_reject::OnReject};

/// The data with which the guard checks a request against one limit.
pub(crate) struct LimitCheck<'a> {
    pub(crate) policy: Cow<'a, Policy>,
    /// The key. [`enforce`](crate::enforce::enforce) replaces this key with its hash, which the store uses.
    pub(crate) key: Key,
    pub(crate) counted_by: KeySource,
    /// Whether other clients of the same IPv6 network also use this key. A shared key is never banned, because the
    /// ban would affect all of these clients.
    pub(crate) is_shared: bool,
    pub(crate) cost: u32,
    pub(crate) count: CountRuleRef<'a>,
    /// The function of the limit that responds to rejected requests. `None` if the limit has no function.
    pub(crate) on_reject: Option<&'a OnReject>,
}

impl LimitCheck<'_> {
    /// Returns whether the limit counts the request regardless of its response.
    pub(crate) fn counts_always(&self) -> bool {
        self.count.counts_always()
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
pub(crate) type LimitChecks<'a> = SmallVec<[LimitCheck<'a>; 1]>;
