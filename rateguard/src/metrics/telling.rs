//! What one guard tells.

use std::{
    sync::{Once, OnceLock},
    time::Duration,
};

use metrics::{Counter, Histogram, Label};

use super::{
    gauges::{Gauges, State},
    kept::{IsNew, Kept},
    names,
    pairs::{Pair, Pairs},
};
use crate::{Quota, StoreError, mode::Mode, policy::PolicyName, store::Operation, words::Outcome};

pub(crate) struct Metrics {
    pairs: Pairs,
    /// By the numbers of the variants.
    errors: [OnceLock<Kept<Counter>>; StoreError::ALL.len()],
    durations: [OnceLock<Kept<Histogram>>; Operation::ALL.len()],
    gauges: Gauges,
    described: Once,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            pairs: Pairs::new(),
            errors: [const { OnceLock::new() }; StoreError::ALL.len()],
            durations: [const { OnceLock::new() }; Operation::ALL.len()],
            gauges: Gauges::new(),
            described: Once::new(),
        }
    }

    /// A quota that may be asked for.
    pub(crate) fn known(&self, policy: &PolicyName, quota: Quota) {
        self.pairs.of(policy, Some(quota)).tell_quota();
    }

    /// These are the quotas of the guard's policies from now on.
    pub(crate) fn put_in_force(&self, quotas: &[(&PolicyName, Quota)]) {
        quotas.iter().for_each(|(policy, quota)| self.pairs.of(policy, Some(*quota)).come());
        let is_there =
            |pair: &Pair| quotas.iter().any(|(policy, quota)| pair.is(policy, Some(*quota)));
        self.pairs.iter().filter(|pair| !is_there(pair)).for_each(Pair::leave);
    }

    /// A check has come to its end.
    pub(crate) fn decided(
        &self,
        policy: &PolicyName,
        quota: Option<Quota>,
        outcome: Outcome,
        mode: Mode,
    ) {
        let pair = self.pairs.of(policy, quota);
        if pair.decided(outcome, mode) {
            pair.tell_quota();
            self.describe(true);
        }
    }

    /// The store was asked, and took so long.
    pub(crate) fn asked(&self, operation: Operation, took: Duration) {
        let duration = self.durations[operation as usize].get_or_init(|| {
            let label = Label::from_static_parts("operation", operation.word());
            Kept::new(&names::STORE_DURATION, vec![label])
        });
        self.describe(duration.tell(|duration, _| duration.record(took.as_secs_f64())));
    }

    /// A question was left unanswered.
    pub(crate) fn unanswered(&self, cause: StoreError) {
        let errors = self.errors[cause as usize].get_or_init(|| {
            let label = Label::from_static_parts("error", cause.word());
            Kept::new(&names::STORE_ERRORS, vec![label])
        });
        self.describe(errors.tell(|errors, _| errors.increment(1)));
    }

    /// How things stand.
    pub(crate) fn update(&self, state: State) {
        self.pairs.iter().for_each(Pair::tell_quota);
        self.describe(self.gauges.update(&state));
    }

    /// Says once what the metrics mean, when there is somebody to be told.
    fn describe(&self, is_new: IsNew) {
        if is_new {
            self.described.call_once(|| names::ALL.iter().for_each(names::Metric::describe));
        }
    }
}
