//! Replaces the statistics of a guard if the feature `statistics` is disabled. Then nothing is recorded.

use std::time::Duration;

use crate::{Decision, Key, OnError, key::DIGEST_BYTES, policy::PolicyName};

/// A counter of a policy.
#[derive(Clone, Copy)]
pub(crate) enum Counter {
    Allowed,
    Rejected,
    UndecidedPassed,
    Waited,
    WouldDeny,
}

/// No value of this type exists, because a guard has no statistics.
pub(crate) enum Statistics {}

/// Has the same methods as the recorder of statistics, but no data.
pub(crate) struct StatisticsRecorder;

impl StatisticsRecorder {
    pub(crate) fn new(_: Option<Statistics>, _: &'static str, _: bool, _: Duration) -> Self {
        Self
    }

    pub(crate) fn is_enabled(&self) -> bool {
        false
    }

    pub(crate) fn store_readable_key(&self, _: &Key, _: &Key) {}

    pub(crate) fn record_decision<'a>(
        &self,
        _: &Decision,
        _: impl FnOnce() -> Option<&'a Key>,
        _: impl FnOnce() -> Duration,
    ) {
    }

    pub(crate) fn record(&self, _: &PolicyName, _: Counter, _: impl FnOnce() -> Duration) {}

    pub(crate) fn record_store_call(&self, _: Duration, _: impl FnOnce() -> Duration) {}

    pub(crate) fn find_key(
        &self,
        _: &[u8; DIGEST_BYTES],
        _: impl FnOnce() -> Duration,
    ) -> Option<Key> {
        None
    }

    pub(crate) fn record_fallback(&self, _: OnError) {}
}
