//! Applies a trace (a list of operations and clock changes) to a store and to the model (a simple reference
//! implementation of the algorithms). The store and the model must return the same results.

use std::collections::BTreeMap;

use actix_rateguard::{
    Algorithm, Key,
    store::{Bucket, BucketRequest, BucketStatus, Operation, Receipt, Verdict},
};
use proptest::prelude::*;

use crate::model::{ModelReceipt, Part, Rule, World, exceeds_quota};

#[derive(Clone, Debug)]
pub enum Step {
    /// An operation on one or several keys.
    Apply { operation: Operation, keys: Vec<u8>, cost: u64 },
    /// Refunds a part of an earlier check. `index` selects one of the last four admitted checks, and `thousandths` is
    /// the refunded share of its cost.
    Refund { index: usize, thousandths: u64 },
    /// Advances the clock by this many thousandths of the first quota's window.
    Advance { thousandths: u64 },
    /// Advances the clock by one microsecond.
    Tick,
    /// Sends the last denied check again, first 1 µs before its retry time, and then at its retry time.
    WaitForRetry,
    /// Sets the clock back by this many thousandths of the first quota's window.
    SetBack { thousandths: u64 },
}

/// A store that a trace is applied to. The test sets the clock of the store.
pub trait TracedStore {
    /// Whether the store retains expired entries until the next admission.
    ///
    /// If this is `false`, the store may have deleted entries that count again after a backward clock step. After such
    /// a step, the runner then checks only three rules: no bucket exceeds its limit, no wait and no reset time is longer
    /// than the algorithm allows, and a check after the wait is admitted.
    const RETAINS_EXPIRED: bool;

    fn apply(&mut self, operation: Operation, requests: &[BucketRequest<'_>], now: u64) -> Verdict;
}

/// The start time of each trace, in microseconds since the Unix epoch. It is so large that backward clock steps do
/// not reach 0.
pub const START: u64 = 1_800_000_000_000_000;
/// The latest time that a trace may reach, in microseconds since the Unix epoch. It is in the year 2255. Lua represents
/// integers exactly only up to 2^53.
const END: u64 = 1 << 53;

/// An admitted check that can be refunded.
struct Reservation {
    keys: Vec<u8>,
    cost: u64,
    receipts: Vec<(Receipt, ModelReceipt)>,
    /// The time of the check on a monotonic clock, which backward clock steps do not change.
    monotonic_time: u64,
}

/// The state while a trace is applied to a store and to the model.
struct TraceRun<'a, S> {
    rules: &'a [Rule],
    store: &'a mut S,
    world: World,
    now: u64,
    /// The total duration of all backward clock steps, in microseconds.
    set_back: u64,
    reservations: Vec<Reservation>,
    /// The admissions of each bucket. Each entry has the time on the monotonic clock and the number of units.
    usage: BTreeMap<(u8, usize), Vec<(u64, u64)>>,
    /// Whether the store may now admit more than the limit. There are two possible causes: a debit, and a refund after
    /// a backward clock step.
    may_exceed_limit: bool,
    steps: usize,
}

impl<S: TracedStore> TraceRun<'_, S> {
    /// Applies an operation to the store and to the model, and asserts that their results are equal.
    fn apply(
        &mut self,
        operation: Operation,
        keys: &[u8],
        cost: u64,
        receipts: Option<&[(Receipt, ModelReceipt)]>,
    ) -> Result<(Verdict, Vec<ModelReceipt>), TestCaseError> {
        self.steps += 1;
        let named: Vec<Key> = keys.iter().map(|key| Key::from_parts([[*key]])).collect();
        let (mut requests, mut parts) = (Vec::new(), Vec::new());
        for (key, name) in keys.iter().zip(&named) {
            for (index, rule) in self.rules.iter().enumerate() {
                let receipt = receipts.map(|receipts| receipts[requests.len()]);
                let bucket = Bucket::new("model", index, name);
                let mut request = BucketRequest::new(bucket, rule.quota(), cost as u32);
                request.receipt = receipt.map_or_else(Receipt::default, |(receipt, _)| receipt);
                requests.push(request);
                let receipt = receipt.map(|(_, receipt)| receipt);
                parts.push(Part { bucket: (*key, index), rule: *rule, cost, receipt });
            }
        }
        let verdict = self.store.apply(operation, &requests, self.now);
        let expected = self.world.apply(operation, &parts, self.now);

        // After a backward clock step, the store and the model count the same units only if the store has a log of the
        // admissions and does not delete expired entries.
        let is_log = self.rules.iter().all(|rule| rule.algorithm == Algorithm::SlidingWindow);
        if self.set_back == 0 || S::RETAINS_EXPIRED && is_log {
            prop_assert_eq!(
                verdict.is_allowed(),
                expected.allowed,
                "{:?} at {}",
                operation,
                self.now
            );
            let statuses: Vec<BucketStatus> = verdict.statuses().collect();
            prop_assert_eq!(statuses, expected.statuses, "{:?} at {}", operation, self.now);
        }
        for (status, part) in verdict.statuses().zip(&parts) {
            // Only the debt of a token bucket can grow without a bound. The units of the other algorithms expire.
            let has_bound = part.rule.algorithm != Algorithm::TokenBucket || !self.may_exceed_limit;
            let is_possible = status.reset_after.as_micros() <= part.rule.longest_wait().into();
            prop_assert!(is_possible || !has_bound, "the reset time is longer than possible");
        }
        Ok((verdict, expected.receipts))
    }

    fn check(&mut self, keys: &[u8], cost: u64) -> Result<Verdict, TestCaseError> {
        let (verdict, receipts) = self.apply(Operation::Check, keys, cost, None)?;
        if verdict.is_allowed() && cost > 0 {
            let monotonic_time = self.now + self.set_back;
            self.reservations.insert(
                0,
                Reservation {
                    keys: keys.to_vec(),
                    cost,
                    receipts: verdict.receipts().zip(receipts).collect(),
                    monotonic_time,
                },
            );
            self.reservations.truncate(4);
            for key in keys {
                for (index, rule) in self.rules.iter().enumerate() {
                    let usage = self.usage.entry((*key, index)).or_default();
                    usage.push((monotonic_time, cost));
                    let is_exceeded = !self.may_exceed_limit && exceeds_quota(*rule, usage);
                    prop_assert!(!is_exceeded, "admitted more than the quota");
                }
            }
        }
        Ok(verdict)
    }

    fn refund(&mut self, index: usize, thousandths: u64) -> Result<(), TestCaseError> {
        if index >= self.reservations.len() {
            return Ok(());
        }
        let reservation = self.reservations.remove(index);
        let refunded = reservation.cost * thousandths / 1_000;
        // After a backward clock step, the store may no longer count the units of this check. Then the refund may free
        // units of other checks.
        self.may_exceed_limit |= self.set_back > 0;
        let receipts = Some(&*reservation.receipts);
        self.apply(Operation::Refund, &reservation.keys, refunded, receipts)?;
        let counted = (reservation.monotonic_time, reservation.cost);
        for key in &reservation.keys {
            for index in 0..self.rules.len() {
                let usage = self.usage.entry((*key, index)).or_default();
                if let Some(entry) = usage.iter_mut().find(|entry| **entry == counted) {
                    entry.1 -= refunded;
                }
            }
        }
        Ok(())
    }

    fn run(&mut self, trace: &[Step]) -> Result<(), TestCaseError> {
        let mut last_denied: Option<(Vec<u8>, u64, u64)> = None;
        let longest = self.rules.iter().map(|rule| rule.longest_wait()).max().unwrap();
        for step in trace {
            if self.now + longest.max(self.rules[0].window) > END {
                // The next step of the trace could advance the clock beyond `END`.
                break;
            }
            match step {
                Step::Advance { thousandths } => {
                    self.now += self.rules[0].window * thousandths / 1_000;
                }
                Step::Tick => self.now += 1,
                Step::SetBack { thousandths } => {
                    self.now -= self.rules[0].window * thousandths / 1_000;
                    self.set_back += self.rules[0].window * thousandths / 1_000;
                    last_denied = None;
                }
                Step::Apply { operation: Operation::Check, keys, cost } => {
                    let verdict = self.check(keys, *cost)?;
                    last_denied = None;
                    if !verdict.is_allowed()
                        && let Some(wait) = wait(&verdict)
                    {
                        let is_possible = self.may_exceed_limit || (1..=longest).contains(&wait);
                        prop_assert!(is_possible, "the retry time is longer than possible");
                        last_denied = Some((keys.clone(), *cost, self.now + wait));
                    }
                }
                Step::Apply { operation, keys, cost } => {
                    self.may_exceed_limit |= *operation == Operation::Debit;
                    if *operation == Operation::Reset {
                        for (_, usage) in
                            self.usage.iter_mut().filter(|((key, _), _)| keys.contains(key))
                        {
                            usage.clear();
                        }
                    }
                    if *operation != Operation::Peek {
                        last_denied = None;
                    }
                    self.apply(*operation, keys, *cost, None)?;
                    if *operation == Operation::Reset {
                        // The model does not know the order of a reset and a check that have the same time. Therefore
                        // the clock advances by 1 µs.
                        self.now += 1;
                    }
                }
                Step::Refund { index, thousandths } => {
                    last_denied = None;
                    self.refund(*index, *thousandths)?;
                }
                Step::WaitForRetry => {
                    let denied = last_denied.take().filter(|(_, _, then)| *then > self.now);
                    if let Some((keys, cost, then)) = denied {
                        if then > END {
                            // Debits can make the wait so long that the retry time is later than `END`.
                            break;
                        }
                        self.now = then - 1;
                        let too_early = self.check(&keys, cost)?;
                        prop_assert!(!too_early.is_allowed() && wait(&too_early) == Some(1));
                        self.now = then;
                        let in_time = self.check(&keys, cost)?;
                        prop_assert!(in_time.is_allowed(), "denied after the retry time");
                    }
                }
            }
        }
        Ok(())
    }
}

/// Returns the wait of a request in microseconds, or `None` if the store will never admit the request.
fn wait(verdict: &Verdict) -> Option<u64> {
    verdict
        .statuses()
        .try_fold(0, |wait, level| Some(wait.max(level.retry_after?.as_micros() as u64)))
}

/// Applies a trace to a store and to the model, and returns the number of operations.
pub fn run_trace<S: TracedStore>(
    rules: &[Rule],
    trace: &[Step],
    store: &mut S,
) -> Result<usize, TestCaseError> {
    let mut run = TraceRun {
        rules,
        store,
        world: World::default(),
        now: START,
        set_back: 0,
        reservations: Vec::new(),
        usage: BTreeMap::new(),
        may_exceed_limit: false,
        steps: 0,
    };
    run.run(trace)?;
    Ok(run.steps)
}
