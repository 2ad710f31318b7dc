//! Records the results of the checks of a guard.

use std::{
    sync::atomic::{AtomicU8, Ordering::Relaxed},
    time::Duration,
};

use tokio::sync::Mutex;

use super::{
    Statistics,
    counters::Counter,
    denied_keys::DeniedKeys,
    fleet_cache::FleetCache,
    interval_clock::IntervalClock,
    key_text::key_text,
    latency::{LatencySummary, StoreLatency},
    policy_table::{PolicySeries, PolicyTable},
    publisher::Publisher,
    recent_keys::RecentKeys,
    values::{DeniedKey, Fallback},
};
use crate::{
    Decision, Key, OnError, key::DIGEST_BYTES, keyed_hash::random_u128s, policy::PolicyName,
    telemetry::outcome::OutcomeLabel,
};

/// Records the results of checks, if the guard has statistics.
pub(crate) struct StatisticsRecorder(Option<Box<Recording>>);

/// The recorded results of a guard.
pub(crate) struct Recording {
    pub(crate) settings: Statistics,
    /// The random id of the guard.
    pub(crate) id: String,
    /// The kind of the store.
    pub(crate) store_kind: &'static str,
    /// The monotonic time when the guard was built.
    start: Duration,
    clock: IntervalClock,
    policies: PolicyTable,
    denied_keys: DeniedKeys,
    /// `None` if the statistics have no texts of keys, or if the guard does not hash keys.
    recent_keys: Option<RecentKeys>,
    latency: StoreLatency,
    /// The failure mode that was applied last.
    last_fallback: AtomicU8,
    /// Held during a publication.
    pub(crate) publisher: Mutex<Publisher>,
    /// Held during a read of the statistics of the fleet.
    pub(crate) fleet: Mutex<FleetCache>,
}

impl StatisticsRecorder {
    /// `hashes_keys` is true if a key of a check has only a digest. `now` is the monotonic time.
    pub(crate) fn new(
        settings: Option<Statistics>,
        store_kind: &'static str,
        hashes_keys: bool,
        now: Duration,
    ) -> Self {
        Self(settings.map(|settings| {
            let clock = IntervalClock::new(now);
            let has_recent_keys = settings.has_readable_keys && hashes_keys;
            Box::new(Recording {
                id: format!("{:016x}", random_u128s()() as u64),
                store_kind,
                start: now,
                denied_keys: DeniedKeys::new(clock.unix_time(now)),
                clock,
                policies: PolicyTable::new(),
                recent_keys: has_recent_keys.then(RecentKeys::new),
                latency: StoreLatency::new(),
                last_fallback: AtomicU8::new(0),
                publisher: Mutex::default(),
                fleet: Mutex::default(),
                settings,
            })
        }))
    }

    /// Returns what was recorded. `None` if the guard has no statistics.
    #[inline]
    pub(crate) fn get(&self) -> Option<&Recording> {
        self.0.as_deref()
    }

    #[inline]
    pub(crate) fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    /// Stores the text of a key before it is hashed, if the statistics have texts.
    #[inline]
    pub(crate) fn store_readable_key(&self, key: &Key, hashed: &Key) {
        if let Some(Recording { recent_keys: Some(recent_keys), .. }) = self.get() {
            recent_keys.insert(hashed.digest(), key);
        }
    }

    /// Counts a decision. `key` is the hashed key of the deciding limit, and `now` the monotonic time.
    #[inline]
    pub(crate) fn record_decision<'a>(
        &self,
        decision: &Decision,
        key: impl FnOnce() -> Option<&'a Key>,
        now: impl FnOnce() -> Duration,
    ) {
        if let Some(recording) = self.get() {
            recording.record_decision(decision, key, now());
        }
    }

    /// Counts outcomes of a policy.
    #[inline]
    pub(crate) fn record(
        &self,
        policy: &PolicyName,
        counter: Counter,
        now: impl FnOnce() -> Duration,
    ) {
        if let Some(recording) = self.get() {
            recording.policies.of(policy).increment(counter, recording.clock.unix_time(now()));
        }
    }

    /// Records the duration of a store call.
    #[inline]
    pub(crate) fn record_store_call(&self, duration: Duration, now: impl FnOnce() -> Duration) {
        if let Some(recording) = self.get() {
            recording.latency.record(duration, recording.clock.unix_time(now()));
        }
    }

    /// Returns a denied key in the form in which the store gets it.
    pub(crate) fn find_key(
        &self,
        digest: &[u8; DIGEST_BYTES],
        now: impl FnOnce() -> Duration,
    ) -> Option<Key> {
        let recording = self.get()?;
        recording.denied_keys.find(digest, recording.clock.unix_time(now()))
    }

    /// Records the failure mode that was applied to a check.
    pub(crate) fn record_fallback(&self, on_error: OnError) {
        if let Some(recording) = self.get() {
            let fallback = match on_error {
                OnError::Closed => Fallback::Closed,
                OnError::Local => Fallback::Local,
                _ => Fallback::Open,
            };
            recording.last_fallback.store(fallback as u8, Relaxed);
        }
    }
}

impl Recording {
    fn record_decision<'a>(
        &self,
        decision: &Decision,
        key: impl FnOnce() -> Option<&'a Key>,
        now: Duration,
    ) {
        let counter = match OutcomeLabel::of(decision) {
            OutcomeLabel::Allowed => Counter::Allowed,
            OutcomeLabel::Denied => Counter::Denied,
            OutcomeLabel::Banned => Counter::Banned,
            OutcomeLabel::Rejected => Counter::Rejected,
        };
        let unix_time = self.clock.unix_time(now);
        self.policies.of(decision.policy_name()).increment(counter, unix_time);
        if counter != Counter::Allowed
            && let Some(key) = key()
        {
            let readable = |digest: &[u8; DIGEST_BYTES]| match &self.recent_keys {
                Some(recent_keys) => recent_keys.get(digest),
                None => self.settings.has_readable_keys.then_some(*key),
            };
            self.denied_keys.record(decision.policy_name(), key, unix_time, readable);
        }
    }

    /// Sets the Unix time at the monotonic time `now`.
    pub(crate) fn set_time(&self, now: Duration, unix_time: Duration) {
        self.clock.set(now, unix_time);
    }

    /// Returns the Unix time at this monotonic time.
    pub(crate) fn unix_time(&self, now: Duration) -> Duration {
        self.clock.unix_time(now)
    }

    /// Returns the time since the guard was built.
    pub(crate) fn uptime(&self, now: Duration) -> Duration {
        now.saturating_sub(self.start)
    }

    pub(crate) fn series(&self) -> impl Iterator<Item = &PolicySeries> + Clone {
        self.policies.iter()
    }

    /// Returns the number of policies that are counted together.
    pub(crate) fn omitted_policies(&self) -> usize {
        self.policies.omitted()
    }

    pub(crate) fn latency(&self, now: Duration) -> LatencySummary {
        self.latency.summary(self.clock.unix_time(now))
    }

    /// Returns the failure mode that was applied last.
    pub(crate) fn last_fallback(&self) -> Fallback {
        let last = self.last_fallback.load(Relaxed);
        let all = [Fallback::Local, Fallback::Open, Fallback::Closed];
        all.into_iter().find(|it| *it as u8 == last).unwrap_or(Fallback::None)
    }

    pub(crate) fn has_readable_keys(&self) -> bool {
        self.settings.has_readable_keys
    }

    /// Returns the keys with the most denials, and the time for which they were counted.
    pub(crate) fn denied_keys(&self, now: Duration) -> (Vec<DeniedKey>, Duration) {
        self.denied_keys.report(self.clock.unix_time(now), key_text)
    }
}
