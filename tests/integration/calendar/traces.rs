//! Applies random operations to calendar quotas, in memory and in the script. Both must agree with a model that has the
//! time of each unit.

use std::{cell::RefCell, time::Duration};

use actix_rateguard::{
    Key, MemoryStore, Quota,
    store::{
        Bucket, BucketRequest, BucketStatus, Operation, Receipt, Store, Verdict, calendar_bounds,
    },
    test_util::ManualClock,
};
use futures_util::FutureExt;
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestCaseResult, TestRunner},
};

use crate::support::{
    lua::{SOURCE, Script, with_test_clock},
    redis_server::RedisServer,
};

/// The periods of the quotas. Some of their zones change the clocks, or skip a day, after one of the `STARTS`.
const PERIODS: [&str; 7] = [
    "calendar hour Australia/Lord_Howe",
    "calendar day",
    "calendar day Europe/Berlin",
    "calendar day Pacific/Apia",
    "calendar week America/Sao_Paulo",
    "calendar month Europe/Berlin",
    "calendar year",
];

/// The first times of traces, in seconds since 1970: before the changes of clocks in 2026, before Samoa skipped a day,
/// before clocks went forward at midnight in Brazil, and before a leap day.
const STARTS: [u64; 6] =
    [1_774_731_600, 1_792_875_600, 1_775_307_600, 1_325_152_800, 1_541_293_200, 1_835_384_400];

#[derive(Clone, Debug)]
enum Step {
    Apply {
        operation: Operation,
        key: u8,
        cost: u32,
    },
    /// Refunds a part of one of the last admitted checks.
    Refund {
        index: usize,
        units: u32,
    },
    /// Advances the clock by this many thousandths of the current period of the first quota.
    Advance {
        thousandths: u64,
    },
    /// Advances the clock to the end of the current period of the first quota, or to 1 µs before it.
    End {
        is_before: bool,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let operations = prop_oneof![
        12 => Just(Operation::Check),
        2 => Just(Operation::Peek),
        1 => Just(Operation::Debit),
        1 => Just(Operation::Reset),
    ];
    let apply = (operations, 0..2_u8, prop_oneof![4 => Just(1_u32), 1 => 0..8_u32])
        .prop_map(|(operation, key, cost)| Step::Apply { operation, key, cost });
    let step = prop_oneof![
        20 => apply,
        2 => (0..3_usize, 0..4_u32).prop_map(|(index, units)| Step::Refund { index, units }),
        3 => (0..400_u64).prop_map(|thousandths| Step::Advance { thousandths }),
        3 => any::<bool>().prop_map(|is_before| Step::End { is_before }),
    ];
    vec(step, 1..60)
}

fn quotas() -> impl Strategy<Value = Vec<Quota>> {
    let quota = (prop_oneof![1..5_u32, 5..20_u32], prop::sample::select(PERIODS.to_vec()))
        .prop_map(|(limit, period)| format!("{limit}/{period}").parse().unwrap());
    vec(quota, 1..3)
}

/// The model of one bucket: the time of each operation that took units, and the units that were not refunded.
#[derive(Clone, Default)]
struct Model(Vec<(Duration, u32)>);

impl Model {
    fn used(&self, quota: Quota, now: Duration) -> u32 {
        let start = calendar_bounds(quota.calendar_period().unwrap(), now).start;
        self.0.iter().filter(|(at, _)| *at >= start).map(|(_, units)| units).sum()
    }

    fn status(&self, quota: Quota, now: Duration, cost: u32) -> BucketStatus {
        let used = self.used(quota, now);
        let until_end = calendar_bounds(quota.calendar_period().unwrap(), now).end - now;
        let wait = if used + cost > quota.limit() && cost > 0 { until_end } else { Duration::ZERO };
        BucketStatus {
            remaining: quota.limit().saturating_sub(used),
            reset_after: if used > 0 { until_end } else { Duration::ZERO },
            retry_after: (cost <= quota.limit()).then_some(wait),
        }
    }
}

/// An admitted check, with the receipts of both stores.
struct Admitted {
    key: u8,
    at: Duration,
    units: u32,
    memory: Vec<Receipt>,
    script: Vec<Receipt>,
}

struct Run<'a, 'b> {
    quotas: &'a [Quota],
    clock: ManualClock,
    memory: MemoryStore,
    script: Script<'b>,
    models: Vec<Vec<Model>>,
    admitted: Vec<Admitted>,
    now: Duration,
}

impl Run<'_, '_> {
    fn apply(
        &mut self,
        operation: Operation,
        key: u8,
        cost: u32,
        receipts: Option<(&[Receipt], &[Receipt])>,
    ) -> Result<(Verdict, Verdict), TestCaseError> {
        self.clock.set(self.now);
        let name = Key::from_parts([[key]]);
        let requests = |receipts: Option<&[Receipt]>| -> Vec<BucketRequest<'_>> {
            let request = |(index, quota): (usize, &Quota)| {
                let mut it =
                    BucketRequest::new(Bucket::new("calendar", index, &name), *quota, cost);
                it.receipt = receipts.map_or_else(Receipt::default, |receipts| receipts[index]);
                it
            };
            self.quotas.iter().enumerate().map(request).collect()
        };
        let requests = [requests(receipts.map(|it| it.0)), requests(receipts.map(|it| it.1))];
        let memory = self.memory.apply(operation, &requests[0]).get().now_or_never().unwrap();
        let memory = memory.unwrap();
        let script = self.script.call(operation, &requests[1], Some(self.now));
        let script = script.map_err(|error| TestCaseError::fail(error.to_string()))?;
        let statuses: [Vec<BucketStatus>; 2] =
            [memory.statuses().collect(), script.statuses().collect()];
        prop_assert_eq!(&statuses[0], &statuses[1], "{:?} at {:?}", operation, self.now);
        prop_assert_eq!(memory.is_allowed(), script.is_allowed(), "{:?}", operation);
        Ok((memory, script))
    }

    /// Compares the result of an operation with the model.
    fn compare(&self, verdict: &Verdict, key: u8, cost: u32) -> TestCaseResult {
        let models = self.models[usize::from(key)].iter().zip(self.quotas);
        let expected: Vec<_> =
            models.map(|(model, quota)| model.status(*quota, self.now, cost)).collect();
        prop_assert_eq!(verdict.statuses().collect::<Vec<_>>(), expected, "at {:?}", self.now);
        Ok(())
    }

    fn step(&mut self, step: &Step) -> TestCaseResult {
        match *step {
            Step::Apply { operation, key, cost } => {
                let has_room = |(model, quota): (&Model, &Quota)| {
                    model.status(*quota, self.now, cost).retry_after == Some(Duration::ZERO)
                };
                let models = &self.models[usize::from(key)];
                let is_check = matches!(operation, Operation::Check | Operation::Peek);
                let is_allowed = !is_check || models.iter().zip(self.quotas).all(has_room);
                let (memory, script) = self.apply(operation, key, cost, None)?;
                prop_assert_eq!(memory.is_allowed(), is_allowed, "{:?}", operation);
                let takes = matches!(operation, Operation::Check | Operation::Debit) && is_allowed;
                for model in &mut self.models[usize::from(key)] {
                    match operation {
                        Operation::Reset => model.0.clear(),
                        _ if takes => model.0.push((self.now, cost)),
                        _ => {}
                    }
                }
                self.compare(&memory, key, cost)?;
                if operation == Operation::Reset {
                    self.admitted.retain(|it| it.key != key);
                    // A check at the time of the reset could not be told apart from a check before it.
                    self.now += Duration::from_micros(1);
                } else if operation == Operation::Check && takes && cost > 0 {
                    let (memory, script) =
                        (memory.receipts().collect(), script.receipts().collect());
                    let it = Admitted { key, at: self.now, units: cost, memory, script };
                    self.admitted.insert(0, it);
                    self.admitted.truncate(3);
                }
            }
            Step::Refund { index, units } if index < self.admitted.len() => {
                let it = self.admitted.remove(index);
                let units = units.min(it.units);
                let receipts = Some((&*it.memory, &*it.script));
                let (memory, _) = self.apply(Operation::Refund, it.key, units, receipts)?;
                for model in &mut self.models[usize::from(it.key)] {
                    let taken = model.0.iter_mut().find(|taken| **taken == (it.at, it.units));
                    if let Some(taken) = taken {
                        taken.1 -= units;
                    }
                }
                self.compare(&memory, it.key, units)?;
            }
            Step::Refund { .. } => {}
            Step::Advance { thousandths } => {
                let current = self.period();
                self.now += (current.end - current.start) * thousandths as u32 / 1_000;
                self.now = Duration::from_micros(self.now.as_micros() as u64);
            }
            Step::End { is_before } => {
                let end = self.period().end - Duration::from_micros(is_before.into());
                self.now = self.now.max(end);
            }
        }
        Ok(())
    }

    fn period(&self) -> std::ops::Range<Duration> {
        calendar_bounds(self.quotas[0].calendar_period().unwrap(), self.now)
    }
}

/// Returns the first difference between this script, the memory store and the model.
pub fn difference(source: &str) -> Option<String> {
    let (server, source) = (RedisServer::start(), with_test_clock(source));
    let connection = RefCell::new((server.client(), 0));
    let config = Config { cases: 400, failure_persistence: None, ..Config::default() };
    let cases = (quotas(), prop::sample::select(STARTS.to_vec()), steps());
    let result = TestRunner::new(config).run(&cases, |(quotas, start, steps)| {
        let (redis, case) = &mut *connection.borrow_mut();
        *case += 1;
        let clock = ManualClock::new();
        let mut run = Run {
            quotas: &quotas,
            memory: MemoryStore::new().clock(clock.clone()),
            clock,
            script: Script::new(redis, &source, format!("calendar-{case}")),
            models: vec![vec![Model::default(); quotas.len()]; 2],
            admitted: Vec::new(),
            now: Duration::from_secs(start),
        };
        steps.iter().try_for_each(|step| run.step(step))
    });
    result.err().map(|failure| failure.to_string())
}

#[test]
fn memory_script_and_model_agree_on_calendar_quotas() {
    assert_eq!(difference(SOURCE), None);
}
