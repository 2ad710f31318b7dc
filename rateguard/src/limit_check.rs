//! The check of a request under one limit.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::{Count, Key, Policy, on_denied::OnDeniedRef};

/// The check of a request under one limit.
pub(crate) struct LimitCheck<'a> {
    pub(crate) policy: Cow<'a, Policy>,
    /// Hashed as in the store, once [`enforce`](crate::enforce::enforce) runs.
    pub(crate) key: Key,
    /// Whether other clients of the same IPv6 network are counted under this key. Such a key is never banned.
    pub(crate) is_shared: bool,
    pub(crate) cost: u32,
    pub(crate) count: Count,
    pub(crate) on_denied: Option<OnDeniedRef<'a>>,
}

impl LimitCheck<'_> {
    /// Returns whether the request counts whatever its response is.
    pub(crate) fn counts_always(&self) -> bool {
        self.count == Count::All
    }
}

/// The checks of one decision.
pub(crate) type LimitChecks<'a> = SmallVec<[LimitCheck<'a>; 1]>;
