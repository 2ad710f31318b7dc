//! A trace of operations on a store and on the model, which have to say the same.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rateguard::{
    Algorithm, Key,
    store::{Bucket, Charge, Level, Operation, Receipt, Verdict},
};

use crate::model::{ModelReceipt, Part, Rule, World, is_too_much};

#[derive(Clone, Debug)]
pub enum Step {
    /// One operation on one key or several.
    Ask {
        operation: Operation,
        keys: Vec<u8>,
        cost: u64,
    },
    /// Gives back so much of what one of the last checks took, in thousandths.
    GiveBack {
        which: usize,
        thousandths: u64,
    },
    /// A fraction of the first quota's window, in thousandths.
    Advance {
        thousandths: u64,
    },
    /// One tick of the clock.
    Tick,
    /// To one tick before the moment at which the last denied request gets in, then to that moment.
    WaitForRetry,
    SetBack {
        thousandths: u64,
    },
}

/// A store whose time the test sets.
pub trait Subject {
    /// Whether what was over stays until the next admission. If not, a clock that is set back may find it gone, and only
    /// the promises can be checked from then on: the limit, the longest wait, and that waiting helps.
    const KEEPS_WHAT_IS_OVER: bool;

    fn apply(&mut self, operation: Operation, charges: &[Charge<'_>], now: u64) -> Verdict;
}

/// Where the clock begins: far enough from 0 to be set back.
pub const START: u64 = 1_800_000_000_000_000;
/// In the year 2255. Lua counts no further in whole microseconds.
const END: u64 = 1 << 53;

/// What a check took and may give back.
struct Held {
    keys: Vec<u8>,
    cost: u64,
    receipts: Vec<(Receipt, ModelReceipt)>,
    /// When, by a clock that is never set back.
    truly_at: u64,
}

/// A trace on a store and on the model.
struct Play<'a, S> {
    rules: &'a [Rule],
    store: &'a mut S,
    world: World,
    now: u64,
    /// By how much the clock has been set back altogether.
    set_back: u64,
    held: Vec<Held>,
    /// By bucket: what was taken and not given back, by a clock that is never set back.
    truly_taken: BTreeMap<(u8, usize), Vec<(u64, u64)>>,
    /// Something was charged beyond the limit, or given back after the clock was set back.
    is_beyond: bool,
    steps: usize,
}

impl<S: Subject> Play<'_, S> {
    /// Does this on both sides and compares what they say.
    fn ask(
        &mut self,
        operation: Operation,
        keys: &[u8],
        cost: u64,
        receipts: Option<&[(Receipt, ModelReceipt)]>,
    ) -> Result<(Verdict, Vec<ModelReceipt>), TestCaseError> {
        self.steps += 1;
        let named: Vec<Key> = keys.iter().map(|key| Key::from_parts([[*key]])).collect();
        let (mut charges, mut parts) = (Vec::new(), Vec::new());
        for (key, name) in keys.iter().zip(&named) {
            for (place, rule) in self.rules.iter().enumerate() {
                let receipt = receipts.map(|receipts| receipts[charges.len()]);
                let bucket = Bucket::new("model", place, name);
                let mut charge = Charge::new(bucket, rule.quota(), cost as u32);
                charge.receipt = receipt.map_or_else(Receipt::default, |(receipt, _)| receipt);
                charges.push(charge);
                let receipt = receipt.map(|(_, receipt)| receipt);
                parts.push(Part { bucket: (*key, place), rule: *rule, cost, receipt });
            }
        }
        let verdict = self.store.apply(operation, &charges, self.now);
        let expected = self.world.apply(operation, &parts, self.now);

        // What was over and is there again counts with the log alone.
        let is_log = self.rules.iter().all(|rule| rule.algorithm == Algorithm::SlidingWindow);
        if self.set_back == 0 || S::KEEPS_WHAT_IS_OVER && is_log {
            prop_assert_eq!(
                verdict.is_allowed(),
                expected.allowed,
                "{:?} at {}",
                operation,
                self.now
            );
            let levels: Vec<Level> = verdict.levels().collect();
            prop_assert_eq!(levels, expected.levels, "{:?} at {}", operation, self.now);
        }
        Ok((verdict, expected.receipts))
    }

    fn check(&mut self, keys: &[u8], cost: u64) -> Result<Verdict, TestCaseError> {
        let (verdict, receipts) = self.ask(Operation::Check, keys, cost, None)?;
        if verdict.is_allowed() && cost > 0 {
            let truly_at = self.now + self.set_back;
            self.held.insert(
                0,
                Held {
                    keys: keys.to_vec(),
                    cost,
                    receipts: verdict.receipts().zip(receipts).collect(),
                    truly_at,
                },
            );
            self.held.truncate(4);
            for key in keys {
                for (place, rule) in self.rules.iter().enumerate() {
                    let taken = self.truly_taken.entry((*key, place)).or_default();
                    taken.push((truly_at, cost));
                    let too_much = !self.is_beyond && is_too_much(*rule, taken);
                    prop_assert!(!too_much, "more than the quota");
                }
            }
        }
        Ok(verdict)
    }

    fn give_back(&mut self, which: usize, thousandths: u64) -> Result<(), TestCaseError> {
        if which >= self.held.len() {
            return Ok(());
        }
        let held = self.held.remove(which);
        let back = held.cost * thousandths / 1_000;
        // After a step of the clock, it may have no longer been counted.
        self.is_beyond |= self.set_back > 0;
        self.ask(Operation::Refund, &held.keys, back, Some(&held.receipts))?;
        for key in &held.keys {
            for place in 0..self.rules.len() {
                let taken = self.truly_taken.entry((*key, place)).or_default();
                if let Some(it) = taken.iter_mut().find(|it| **it == (held.truly_at, held.cost)) {
                    it.1 -= back;
                }
            }
        }
        Ok(())
    }

    fn play(&mut self, trace: &[Step]) -> Result<(), TestCaseError> {
        let mut last_denied: Option<(Vec<u8>, u64, u64)> = None;
        let longest = self.rules.iter().map(|rule| rule.longest_wait()).max().unwrap();
        for step in trace {
            if self.now + longest.max(self.rules[0].window) > END {
                // So many of the windows were years.
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
                Step::Ask { operation: Operation::Check, keys, cost } => {
                    let verdict = self.check(keys, *cost)?;
                    last_denied = None;
                    if !verdict.is_allowed()
                        && let Some(wait) = wait(&verdict)
                    {
                        let is_possible = self.is_beyond || (1..=longest).contains(&wait);
                        prop_assert!(is_possible, "locked out for longer than can be");
                        last_denied = Some((keys.clone(), *cost, self.now + wait));
                    }
                }
                Step::Ask { operation, keys, cost } => {
                    self.is_beyond |= *operation == Operation::Charge;
                    if *operation == Operation::Reset {
                        for (_, taken) in
                            self.truly_taken.iter_mut().filter(|((key, _), _)| keys.contains(key))
                        {
                            taken.clear();
                        }
                    }
                    if *operation != Operation::Peek {
                        last_denied = None;
                    }
                    self.ask(*operation, keys, *cost, None)?;
                    if *operation == Operation::Reset {
                        // What comes before and after it in one microsecond is not told apart.
                        self.now += 1;
                    }
                }
                Step::GiveBack { which, thousandths } => {
                    last_denied = None;
                    self.give_back(*which, *thousandths)?;
                }
                Step::WaitForRetry => {
                    let denied = last_denied.take().filter(|(_, _, then)| *then > self.now);
                    if let Some((keys, cost, then)) = denied {
                        self.now = then - 1;
                        let too_early = self.check(&keys, cost)?;
                        prop_assert!(!too_early.is_allowed() && wait(&too_early) == Some(1));
                        self.now = then;
                        let in_time = self.check(&keys, cost)?;
                        prop_assert!(in_time.is_allowed(), "waited as long as told, and in vain");
                    }
                }
            }
        }
        Ok(())
    }
}

/// How long to wait, in microseconds, unless it is in vain.
fn wait(verdict: &Verdict) -> Option<u64> {
    verdict
        .levels()
        .try_fold(0, |wait, level| Some(wait.max(level.retry_after?.as_micros() as u64)))
}

/// Plays a trace on a store and on the model, and says how many steps that were.
pub fn play<S: Subject>(
    rules: &[Rule],
    trace: &[Step],
    store: &mut S,
) -> Result<usize, TestCaseError> {
    let mut play = Play {
        rules,
        store,
        world: World::default(),
        now: START,
        set_back: 0,
        held: Vec::new(),
        truly_taken: BTreeMap::new(),
        is_beyond: false,
        steps: 0,
    };
    play.play(trace)?;
    Ok(play.steps)
}
