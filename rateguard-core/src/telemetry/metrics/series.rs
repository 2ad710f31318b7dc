//! Stores the metrics for each pair of a policy and a quota.

use std::{
    hash::{Hash, Hasher},
    sync::{
        OnceLock,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
};

use metrics::{Counter, Gauge, Label, SharedString};

use super::{
    lazy_handle::{IsNew, LazyHandle},
    names,
};
use crate::{
    Quota,
    insert_only_table::{InsertOnlyTable, MAX_ENTRIES},
    policy::PolicyName,
    telemetry::{mode::DecisionMode, outcome::OutcomeLabel},
    word_hash::WordHasher,
};

/// The maximum number of pairs of a policy and a quota for which a guard has separate metrics: 200. For all further
/// pairs, the labels `policy` and `quota` have the value `other`.
pub const MAX_PAIRS: usize = MAX_ENTRIES;

const COUNTERS_PER_PAIR: usize = OutcomeLabel::ALL.len() * DecisionMode::ALL.len();

/// Contains a series (the metrics of one pair) for each pair of a policy and a quota.
pub(super) struct SeriesTable {
    table: InsertOnlyTable<QuotaSeries>,
    other: QuotaSeries,
}

impl SeriesTable {
    pub(super) fn new() -> Self {
        Self {
            table: InsertOnlyTable::new(),
            other: QuotaSeries::new(PolicyName::of("other"), None, "other".to_owned()),
        }
    }

    pub(super) fn of(&self, policy: &PolicyName, quota: Option<Quota>) -> &QuotaSeries {
        let create = || {
            let text = quota.map_or("none".to_owned(), |quota| quota.to_string());
            QuotaSeries::new(policy.clone(), quota, text)
        };
        let is_series = |series: &QuotaSeries| series.is(policy, quota);
        self.table.get_or_insert(hash(policy, quota), is_series, create).unwrap_or(&self.other)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &QuotaSeries> {
        self.table.iter()
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

fn hash(policy: &PolicyName, quota: Option<Quota>) -> u64 {
    let mut hasher = WordHasher::default();
    policy.hash(&mut hasher);
    if let Some(quota) = quota {
        hasher.write_u64(quota.limit().into());
        hasher.write_u64(quota.window_micros());
    }
    hasher.finish()
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
