//! The data with which the guard checks a request against one limit.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::{Count, Key, Policy, on_denied::OnDeniedRef};

/// The data with which the guard checks a request against one limit.
pub(crate) struct LimitCheck<'a> {
    pub(crate) policy: Cow<'a, Policy>,
    /// The key. [`enforce`](crate::enforce::enforce) replaces this key by its hash, which the store uses.
    pub(crate) key: Key,
    pub(crate) counted_by: KeySource,
    /// Whether other clients of the same IPv6 network also use this key. A shared key is never banned, because the
    /// ban would affect all of these clients.
    pub(crate) is_shared: bool,
    pub(crate) cost: u32,
    pub(crate) count: Count,
    pub(crate) on_denied: Option<OnDeniedRef<'a>>,
}

impl LimitCheck<'_> {
    /// Returns whether the limit counts the request regardless of the response status.
    pub(crate) fn counts_always(&self) -> bool {
        self.count == Count::All
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
