//! Stores the metrics for each pair of a policy and a quota.

use std::{
    hash::{Hash, Hasher},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed},
    },
};

use metrics::{Counter, Gauge, Label, SharedString};

use super::{
    lazy_handle::{IsNew, LazyHandle},
    names,
};
use crate::{
    Quota,
    policy::PolicyName,
    telemetry::{mode::DecisionMode, outcome::OutcomeLabel},
    word_hash::WordHasher,
};

/// The maximum number of pairs of a policy and a quota for which a guard has separate metrics: 200. For all further
/// pairs, the labels `policy` and `quota` have the value `other`.
pub const MAX_PAIRS: usize = 200;

/// The number of table slots. At most 200 of the 512 slots are used, so a lookup reads one or two slots on average.
const SLOTS: usize = 512;
const COUNTERS_PER_PAIR: usize = OutcomeLabel::ALL.len() * DecisionMode::ALL.len();

/// A hash table with linear probing that contains a series (the metrics of one pair) for each pair of a policy and a
/// quota. Pairs are never removed, so a lookup needs no lock.
pub(super) struct SeriesTable {
    slots: Box<[OnceLock<Box<QuotaSeries>>]>,
    len: AtomicUsize,
    insert_lock: Mutex<()>,
    other: QuotaSeries,
}

impl SeriesTable {
    pub(super) fn new() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| OnceLock::new()).collect(),
            len: AtomicUsize::new(0),
            insert_lock: Mutex::new(()),
            other: QuotaSeries::new(PolicyName::of("other"), None, "other".to_owned()),
        }
    }

    pub(super) fn of(&self, policy: &PolicyName, quota: Option<Quota>) -> &QuotaSeries {
        let mut slot = first_slot(policy, quota);
        while let Some(series) = self.slots[slot].get() {
            if series.is(policy, quota) {
                return series;
            }
            slot = (slot + 1) % SLOTS;
        }
        if self.len.load(Relaxed) >= MAX_PAIRS {
            return &self.other;
        }
        self.insert(policy, quota, slot)
    }

    #[cold]
    fn insert(&self, policy: &PolicyName, quota: Option<Quota>, mut slot: usize) -> &QuotaSeries {
        let _guard = self.insert_lock.lock().unwrap_or_else(PoisonError::into_inner);
        if self.len.load(Relaxed) >= MAX_PAIRS {
            return &self.other;
        }
        loop {
            let series = self.slots[slot].get_or_init(|| {
                self.len.fetch_add(1, Relaxed);
                let text = quota.map_or("none".to_owned(), |quota| quota.to_string());
                Box::new(QuotaSeries::new(policy.clone(), quota, text))
            });
            // Another thread may have filled this slot before this thread got the lock for insertions.
            if series.is(policy, quota) {
                return series;
            }
            slot = (slot + 1) % SLOTS;
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &QuotaSeries> {
        self.slots.iter().filter_map(OnceLock::get).map(Box::as_ref)
    }
}

/// The metrics for one pair of a policy and a quota. If `quota` is `None`, these are the metrics for the checks of
/// the policy that ended without a decision.
pub(super) struct QuotaSeries {
    policy: PolicyName,
    quota: Option<Quota>,
    policy_text: SharedString,
    quota_text: SharedString,
    /// The counters for all combinations of an outcome and a mode. The index of a counter is computed from its
    /// outcome and its mode.
    decisions: [OnceLock<Box<LazyHandle<Counter>>>; COUNTERS_PER_PAIR],
    limit: LazyHandle<Gauge>,
    window: LazyHandle<Gauge>,
    /// One of the states `UNMANAGED`, `ACTIVE` and `RETIRED`. The state changes when a policies file adds the pair
    /// to the guard's policies or removes the pair.
    state: AtomicU8,
}

/// The pair does not belong to the guard's policies.
const UNMANAGED: u8 = 0;
/// The pair belongs to the guard's policies.
const ACTIVE: u8 = 1;
/// The pair belonged to the guard's policies until a policies file removed it.
const RETIRED: u8 = 2;

impl QuotaSeries {
    fn new(policy: PolicyName, quota: Option<Quota>, quota_text: String) -> Self {
        let policy_text = SharedString::from(policy.as_str().to_owned());
        let quota_text = SharedString::from(quota_text);
        let (policy_label, quota_label) =
            (Label::new("policy", policy_text.clone()), Label::new("quota", quota_text.clone()));
        let labels = || vec![policy_label.clone(), quota_label.clone()];
        let limit = LazyHandle::new(&names::QUOTA_LIMIT, labels());
        let window = LazyHandle::new(&names::QUOTA_WINDOW, labels());
        let decisions = [const { OnceLock::new() }; COUNTERS_PER_PAIR];
        let state = AtomicU8::new(UNMANAGED);
        Self { policy, quota, policy_text, quota_text, decisions, limit, window, state }
    }

    pub(super) fn is(&self, policy: &PolicyName, quota: Option<Quota>) -> bool {
        self.quota == quota && self.policy == *policy
    }

    /// Counts a decision. Returns whether this call stored a new handle of the recorder.
    pub(super) fn record_decision(&self, outcome: OutcomeLabel, mode: DecisionMode) -> IsNew {
        let counter = self.decisions[outcome as usize * DecisionMode::ALL.len() + mode as usize]
            .get_or_init(|| {
                let labels = vec![
                    Label::new("policy", self.policy_text.clone()),
                    Label::new("quota", self.quota_text.clone()),
                    Label::from_static_parts("outcome", outcome.as_str()),
                    Label::from_static_parts("mode", mode.as_str()),
                ];
                Box::new(LazyHandle::new(&names::DECISIONS, labels))
            });
        counter.with_handle(|counter, _| counter.increment(1))
    }

    /// Marks the pair as a part of the guard's policies, and sets the gauges for its limit and window.
    pub(super) fn activate(&self) {
        self.state.store(ACTIVE, Relaxed);
        self.publish_quota();
    }

    /// Sets the gauges to 0 after the quota was removed from the guard's policies. This happens only once for each
    /// removal, because another guard of the process may still have the quota and set the same gauges.
    pub(super) fn retire(&self) {
        if self.state.compare_exchange(ACTIVE, RETIRED, Relaxed, Relaxed).is_ok() {
            self.limit.with_handle(|gauge, _| gauge.set(0.0));
            self.window.with_handle(|gauge, _| gauge.set(0.0));
        }
    }

    /// Sets the gauges to the limit and the window of the quota.
    pub(super) fn publish_quota(&self) {
        if let Some(quota) = self.quota.filter(|_| self.state.load(Relaxed) != RETIRED) {
            self.limit.with_handle(|gauge, _| gauge.set(quota.limit()));
            self.window.with_handle(|gauge, _| gauge.set(quota.window().as_secs_f64()));
        }
    }
}

/// Returns the slot at which the search for this pair begins.
fn first_slot(policy: &PolicyName, quota: Option<Quota>) -> usize {
    let mut hasher = WordHasher::default();
    policy.hash(&mut hasher);
    if let Some(quota) = quota {
        hasher.write_u64(quota.limit().into());
        hasher.write_u64(quota.window_micros());
    }
    (hasher.finish() >> 48) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_above_the_maximum_are_other() {
        let (table, app) = (SeriesTable::new(), PolicyName::of("app"));
        let quotas = (1..=300).map(|limit| Quota::new(limit, Quota::MIN_WINDOW).unwrap());
        for (number, quota) in quotas.clone().enumerate() {
            let series = table.of(&app, Some(quota));
            let text = if number < MAX_PAIRS { quota.to_string() } else { "other".to_owned() };
            assert_eq!(*series.quota_text, *text);
        }
        for (number, quota) in quotas.enumerate().take(MAX_PAIRS) {
            // Two policy names with equal text at different memory addresses are the same policy.
            let app = PolicyName::of("app");
            assert!(table.of(&app, Some(quota)).is(&app, Some(quota)), "{number}");
        }
        assert_eq!(*table.of(&PolicyName::of("another"), None).policy_text, *"other");
        assert_eq!(table.iter().count(), MAX_PAIRS);
    }

    #[test]
    fn concurrent_inserts_of_one_pair_create_one_series() {
        let table = SeriesTable::new();
        let quota = |number| Quota::new(number, Quota::MIN_WINDOW).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let app = PolicyName::of("app");
                    (1..=100).for_each(|it| _ = table.of(&app, Some(quota(it))));
                });
            }
        });
        assert_eq!(table.iter().count(), 100);
    }
}
