//! The settings of a guard after validation, and their defaults.

use std::time::Duration;

use super::{HttpSettings, policies::Policies, policy_set::PolicySet, wait_queue::MaxWaiting};
use crate::{MemoryStore, key::KeySecret, statistics::Statistics, store::Store};

pub(super) const DEFAULT_MAX_IN_FLIGHT: usize = 4_096;
pub(super) const DEFAULT_DEADLINE: Duration = Duration::from_millis(100);

/// The settings of a guard after validation.
pub(super) struct Settings {
    pub(super) store: Box<dyn Store>,
    pub(super) deadline: Duration,
    pub(super) fail_closed_after: Option<Duration>,
    pub(super) max_in_flight: usize,
    pub(super) max_waiting: MaxWaiting,
    pub(super) denial_cache_ttl: Duration,
    pub(super) replicas: u32,
    /// Whether this process counts its share of a quota with an exact sliding-window log even if the share has more
    /// than 64 units.
    pub(super) mirrors_exactly: bool,
    pub(super) secret: Option<KeySecret>,
    pub(super) policies: Policies,
    /// Whether the guard has overrides.
    pub(super) has_overrides: bool,
    pub(super) http: HttpSettings,
    pub(super) statistics: Option<Statistics>,
    /// The kind of the store in the statistics.
    pub(super) store_kind: &'static str,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            store: Box::new(MemoryStore::new()),
            deadline: DEFAULT_DEADLINE,
            fail_closed_after: None,
            max_in_flight: DEFAULT_MAX_IN_FLIGHT,
            max_waiting: MaxWaiting::default(),
            denial_cache_ttl: Duration::ZERO,
            replicas: 1,
            mirrors_exactly: false,
            secret: None,
            policies: Policies::Fixed(Box::<PolicySet>::default()),
            has_overrides: false,
            http: HttpSettings::default(),
            statistics: None,
            store_kind: "memory",
        }
    }
}
