//! Checks histories, which are the operations and results that several processes recorded on one Redis server.
//!
//! The checker replays a history on the model, a simple reference implementation. It applies one operation after
//! another, each at the time that Redis reported for it. The history is valid if the model returns the recorded
//! results.

use std::{collections::BTreeMap, sync::LazyLock};

use actix_rateguard::{
    Quota, Quotas,
    store::{BucketStatus, Operation},
};
use rateguard_tests::history::{Call, DEBIT_RESET_KEY, Event, LIMITS, Part};

use crate::model::{self, ModelReceipt, Rule, World, exceeds_quota};

/// The kinds of differences between a history and the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The store admitted a request although one of its buckets had no room.
    OverAdmission,
    /// The store denied a request although all of its buckets had room.
    FalseDenial,
    /// The reported status of a bucket differs from the status in the model.
    Status,
    /// A refund returned units that the refunded check had not taken from the bucket.
    Receipt,
}

/// A violation, and the event at which the replay found it.
#[derive(Debug)]
pub struct ViolationReport {
    pub violation: Violation,
    /// The text of the event, and the reason for the violation.
    pub details: String,
}

/// The rules of the quotas of each limit. A rule describes a quota in the form that the model needs.
static RULES: LazyLock<Vec<Vec<Rule>>> = LazyLock::new(|| {
    let rule = |quota: &Quota| Rule {
        algorithm: quota.algorithm(),
        limit: quota.limit().into(),
        window: quota.window().as_micros() as u64,
        capacity: quota.capacity().into(),
    };
    let rules =
        |(_, rates): (&str, &str)| rates.parse::<Quotas>().unwrap().iter().map(rule).collect();
    LIMITS.map(rules).to_vec()
});

pub fn rule(part: &Part) -> Rule {
    RULES[part.limit][part.quota_index]
}

/// Returns a unique id for the bucket: the number of its key, and one number that stands for the limit and the quota.
pub fn bucket(part: &Part) -> (u8, usize) {
    (part.key, part.limit * Quotas::MAX + part.quota_index)
}

/// The units that each call took from its buckets. A refund can return these units only once.
type RefundableUnits = BTreeMap<Call, Vec<(Part, ModelReceipt)>>;

/// The state of a replay: the model, and the units that can still be refunded.
#[derive(Clone, Default)]
struct Replay {
    world: World,
    taken: RefundableUnits,
}

impl Replay {
    fn step(&mut self, event: &Event) -> Result<(), ViolationReport> {
        let fail = |violation, reason: String| {
            Err(ViolationReport { violation, details: format!("{event}\n{reason}") })
        };
        let taken = event.refund_of.and_then(|call| self.taken.remove(&call)).unwrap_or_default();
        let mut parts = Vec::new();
        for part in &event.parts {
            let taken_part = taken.iter().find(|(taken, _)| bucket(taken) == bucket(part));
            let is_covered = taken_part.is_some_and(|(taken, _)| taken.cost >= part.cost);
            if event.operation == Operation::Refund && !is_covered {
                return fail(
                    Violation::Receipt,
                    format!("refund of units that were not taken: {part:?}"),
                );
            }
            parts.push(model::Part {
                bucket: bucket(part),
                rule: rule(part),
                cost: part.cost.into(),
                receipt: taken_part.map(|(_, receipt)| *receipt),
            });
        }
        let expected = self.world.apply(event.operation, &parts, event.at);
        match (event.is_allowed, expected.allowed) {
            (true, false) => {
                return fail(Violation::OverAdmission, format!("{:?}", expected.statuses));
            }
            (false, true) => {
                return fail(Violation::FalseDenial, format!("{:?}", expected.statuses));
            }
            _ => {}
        }
        let statuses: Vec<BucketStatus> = event.parts.iter().map(|part| part.status).collect();
        if statuses != expected.statuses {
            return fail(
                Violation::Status,
                format!("found {statuses:?}\nexpected {:?}", expected.statuses),
            );
        }
        if event.operation == Operation::Check && event.is_allowed {
            self.taken
                .insert(event.call, event.parts.iter().copied().zip(expected.receipts).collect());
        }
        Ok(())
    }

    /// Replays events that have the same time. The function tries the processes in every possible order, until it
    /// finds an order with the recorded results.
    ///
    /// If several events of one process have the same time, they were in one batch. The script decides the requests
    /// of a batch in the order of their numbers.
    fn step_in_any_order(&mut self, processes: &[&[&Event]]) -> Result<(), ViolationReport> {
        if let [events] = processes {
            return events.iter().try_for_each(|event| self.step(event));
        }
        let mut first_failure = None;
        for (index, events) in processes.iter().enumerate() {
            let mut replay = self.clone();
            let others = [&processes[..index], &processes[index + 1..]].concat();
            let stepped = events.iter().try_for_each(|event| replay.step(event));
            match stepped.and_then(|()| replay.step_in_any_order(&others)) {
                Ok(()) => {
                    *self = replay;
                    return Ok(());
                }
                Err(failure) => first_failure = first_failure.or(Some(failure)),
            }
        }
        first_failure.map_or(Ok(()), Err)
    }
}

/// Replays a history on the model, in the order of the event times. Returns the first difference as an error.
pub fn replay(history: &[Event]) -> Result<(), ViolationReport> {
    let mut replay = Replay::default();
    let mut events: Vec<&Event> = history.iter().collect();
    events.sort_by_key(|event| (event.at, event.call.process, event.call.number));
    for simultaneous in events.chunk_by(|one, other| one.at == other.at) {
        let same_process = |one: &&Event, other: &&Event| one.call.process == other.call.process;
        let processes: Vec<_> = simultaneous.chunk_by(same_process).collect();
        replay.step_in_any_order(&processes)?;
    }
    Ok(())
}

/// Checks that no bucket admitted more units than its quota allows. This check does not use the model.
///
/// The function does not check the key that has debits and resets, because debits may exceed the limit. It returns
/// the number of admissions that it has checked.
pub fn check_limits(history: &[Event]) -> Result<usize, ViolationReport> {
    let mut buckets: BTreeMap<_, Vec<(u64, u64, Call)>> = BTreeMap::new();
    let mut admissions = 0;
    for event in history {
        for part in event.parts.iter().filter(|part| part.key != DEBIT_RESET_KEY) {
            let taken = buckets.entry(bucket(part)).or_default();
            match event.operation {
                Operation::Check if event.is_allowed && part.cost > 0 => {
                    taken.push((event.at, part.cost.into(), event.call));
                    admissions += 1;
                    let counted: Vec<_> =
                        taken.iter().map(|(at, units, _)| (*at, *units)).collect();
                    if exceeds_quota(rule(part), &counted) {
                        let details = format!("{event}\nexceeds the quota of {part:?}");
                        return Err(ViolationReport {
                            violation: Violation::OverAdmission,
                            details,
                        });
                    }
                }
                Operation::Refund => {
                    let refunded =
                        taken.iter_mut().find(|(.., call)| Some(*call) == event.refund_of);
                    let units = refunded.map(|(_, units, _)| units);
                    if let Some(units) = units {
                        *units = units.saturating_sub(part.cost.into());
                    }
                }
                Operation::Debit | Operation::Reset => {
                    panic!("unexpected operation on this key: {event}")
                }
                _ => {}
            }
        }
    }
    Ok(admissions)
}
