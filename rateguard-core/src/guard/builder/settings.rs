//! The builder settings that do not depend on the store. They are not validated yet.

use std::time::Duration;

#[cfg(feature = "config")]
use super::file_settings::FileSettings;
use crate::{
    BuildError, OnError, Plan, Policy, RateError, RateGuard,
    guard::{
        AttributePolicy, HttpSettings,
        bounds::{DEADLINES, MAX_IN_FLIGHT},
        policies::Policies,
        settings::{DEFAULT_DEADLINE, DEFAULT_MAX_IN_FLIGHT, Settings},
        wait_queue::MaxWaiting,
    },
    key::KeySecret,
    statistics::Statistics,
    store::Store,
};

/// The builder settings that do not depend on the store. They are not validated yet.
pub(super) struct BuilderSettings {
    pub(super) deadline: Duration,
    pub(super) on_error: OnError,
    pub(super) fail_closed_after: Option<Duration>,
    pub(super) max_in_flight: usize,
    pub(super) max_waiting: MaxWaiting,
    pub(super) denial_cache_ttl: Option<Duration>,
    pub(super) replicas: u32,
    pub(super) secret: Option<Vec<u8>>,
    pub(super) policies: Vec<Policy>,
    pub(super) plans: Vec<(String, Result<Plan, RateError>)>,
    #[cfg(feature = "config")]
    pub(super) file: FileSettings,
    pub(super) attributes: Vec<AttributePolicy>,
    pub(super) has_overrides: bool,
    pub(super) http: HttpSettings,
    pub(super) statistics: Option<Statistics>,
}

impl Default for BuilderSettings {
    fn default() -> Self {
        Self {
            deadline: DEFAULT_DEADLINE,
            on_error: OnError::default(),
            fail_closed_after: None,
            max_in_flight: DEFAULT_MAX_IN_FLIGHT,
            max_waiting: MaxWaiting::default(),
            denial_cache_ttl: None,
            replicas: 1,
            secret: None,
            policies: Vec::new(),
            plans: Vec::new(),
            #[cfg(feature = "config")]
            file: FileSettings::default(),
            attributes: Vec::new(),
            has_overrides: false,
            http: HttpSettings::default(),
            statistics: None,
        }
    }
}

impl BuilderSettings {
    /// Returns an error for the first setting that is out of its range.
    pub(super) fn validate(&self) -> Result<(), BuildError> {
        if !DEADLINES.contains(&self.deadline) {
            return Err(BuildError::Deadline);
        }
        if !u64::try_from(self.max_in_flight).is_ok_and(|it| MAX_IN_FLIGHT.contains(&it)) {
            return Err(BuildError::MaxInFlight);
        }
        if self.replicas == 0 {
            return Err(BuildError::Replicas);
        }
        if self.secret.as_ref().is_some_and(|secret| secret.len() < KeySecret::MIN_BYTES) {
            return Err(BuildError::Secret);
        }
        Ok(())
    }

    /// Creates a guard with these settings. The caller must call [`validate`](Self::validate) first.
    pub(super) fn guard(
        self,
        store: Box<dyn Store>,
        store_kind: &'static str,
        denial_cache_ttl: Duration,
        policies: Policies,
    ) -> Result<RateGuard, BuildError> {
        let secret = self.secret.map(|secret| KeySecret::new(&secret).ok_or(BuildError::Secret));
        let guard = RateGuard::new(Settings {
            store,
            deadline: self.deadline,
            fail_closed_after: self.fail_closed_after,
            max_in_flight: self.max_in_flight,
            max_waiting: self.max_waiting,
            denial_cache_ttl: self.denial_cache_ttl.unwrap_or(denial_cache_ttl),
            replicas: self.replicas,
            mirrors_exactly: self.on_error == OnError::Local,
            secret: secret.transpose()?,
            policies,
            has_overrides: self.has_overrides,
            http: self.http,
            statistics: self.statistics,
            store_kind,
        });
        guard.register_initial_policies();
        Ok(guard)
    }
}
