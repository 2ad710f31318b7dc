//! The check of a request against one limit.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::{Count, Key, Policy, on_denied::OnDeniedRef};

/// The check of a request against one limit.
pub(crate) struct LimitCheck<'a> {
    pub(crate) policy: Cow<'a, Policy>,
    /// The key. [`enforce`](crate::enforce::enforce) replaces it with the hashed key that the store uses.
    pub(crate) key: Key,
    pub(crate) counted_by: KeySource,
    /// Whether other clients of the same IPv6 network share this key. A shared key is never banned, because the ban
    /// would apply to all of them.
    pub(crate) is_shared: bool,
    pub(crate) cost: u32,
    pub(crate) count: Count,
    pub(crate) on_denied: Option<OnDeniedRef<'a>>,
}

impl LimitCheck<'_> {
    /// Returns whether the request counts, whatever the status of the response is.
    pub(crate) fn counts_always(&self) -> bool {
        self.count == Count::All
    }
}

/// The source of the key that a request is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeySource {
    /// The key of the limit.
    Key,
    /// The client's address, because the request has no key.
    Address,
}

impl KeySource {
    /// Returns a stable name for programs, in snake case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Address => "address",
        }
    }
}

/// The checks that lead to one decision.
pub(crate) type LimitChecks<'a> = SmallVec<[LimitCheck<'a>; 1]>;
