//! The check of a request against one limit.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::{Count, Key, Policy, on_denied::OnDeniedRef};

/// The check of a request against one limit.
pub(crate) struct LimitCheck<'a> {
    pub(crate) policy: Cow<'a, Policy>,
    /// The key. [`enforce`](crate::enforce::enforce) replaces it with the hashed key that the store uses.
    pub(crate) key: Key,
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

/// The checks that lead to one decision.
pub(crate) type LimitChecks<'a> = SmallVec<[LimitCheck<'a>; 1]>;
