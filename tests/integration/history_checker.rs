//! Whether a history of what processes did on one Redis can be true: it is done once more on the model, one operation
//! after the other, at the times at which Redis says that it did it.

use std::{collections::BTreeMap, sync::LazyLock};

use rateguard::{
    Quota, Quotas,
    store::{Level, Operation},
};
use rateguard_tests::history::{Call, Event, LIMITS, Part, ROUGH_KEY};

use crate::model::{self, ModelReceipt, Rule, World, is_too_much};

/// Why a history cannot be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// What was admitted had no room.
    OverAdmission,
    /// What was denied had room.
    FalseDenial,
    /// A bucket did not stand as it was said to.
    Level,
    /// What was given back had not been taken, or not so much, or not there.
    Receipt,
}

/// A lie, and where it is.
#[derive(Debug)]
pub struct Found {
    pub lie: Lie,
    /// The event, and why it cannot be.
    pub place: String,
}

/// The rules of each limit, in their order.
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
    RULES[part.limit][part.place]
}

/// The key, and the limit with the place of its quota in one number.
pub fn bucket(part: &Part) -> (u8, usize) {
    (part.key, part.limit * Quotas::MAX + part.place)
}

/// What was taken by a call of each bucket, and can be given back once.
type Taken = BTreeMap<Call, Vec<(Part, ModelReceipt)>>;

/// The model, and what it needs to know to give something back.
#[derive(Clone, Default)]
struct Replay {
    world: World,
    taken: Taken,
}

impl Replay {
    fn step(&mut self, event: &Event) -> Result<(), Found> {
        let found = |lie, why: String| Err(Found { lie, place: format!("{event}\n{why}") });
        let taken = event.taken_by.and_then(|call| self.taken.remove(&call)).unwrap_or_default();
        let mut parts = Vec::new();
        for part in &event.parts {
            let of_it = taken.iter().find(|(taken, _)| bucket(taken) == bucket(part));
            let is_covered = of_it.is_some_and(|(taken, _)| taken.cost >= part.cost);
            if event.operation == Operation::Refund && !is_covered {
                return found(Lie::Receipt, format!("gives back what was not taken: {part:?}"));
            }
            parts.push(model::Part {
                bucket: bucket(part),
                rule: rule(part),
                cost: part.cost.into(),
                receipt: of_it.map(|(_, receipt)| *receipt),
            });
        }
        let said = self.world.apply(event.operation, &parts, event.at);
        match (event.is_allowed, said.allowed) {
            (true, false) => return found(Lie::OverAdmission, format!("{:?}", said.levels)),
            (false, true) => return found(Lie::FalseDenial, format!("{:?}", said.levels)),
            _ => {}
        }
        let levels: Vec<Level> = event.parts.iter().map(|part| part.level).collect();
        if levels != said.levels {
            return found(Lie::Level, format!("{levels:?}\nand the model says\n{:?}", said.levels));
        }
        if event.operation == Operation::Check && event.is_allowed {
            self.taken.insert(event.call, event.parts.iter().copied().zip(said.receipts).collect());
        }
        Ok(())
    }

    /// Does these, which were done in the same microsecond, in an order in which all is as it was said to be. The events of
    /// one process are in one batch, which decides them in the order of their numbers.
    fn step_in_some_order(&mut self, processes: &[&[&Event]]) -> Result<(), Found> {
        if let [events] = processes {
            return events.iter().try_for_each(|event| self.step(event));
        }
        let mut first_found = None;
        for (place, events) in processes.iter().enumerate() {
            let mut replay = self.clone();
            let others = [&processes[..place], &processes[place + 1..]].concat();
            let stepped = events.iter().try_for_each(|event| replay.step(event));
            match stepped.and_then(|()| replay.step_in_some_order(&others)) {
                Ok(()) => {
                    *self = replay;
                    return Ok(());
                }
                Err(found) => first_found = first_found.or(Some(found)),
            }
        }
        first_found.map_or(Ok(()), Err)
    }
}

/// Whether a history, in the order of its times, is one that the model has as well.
pub fn replay(history: &[Event]) -> Result<(), Found> {
    let mut replay = Replay::default();
    let mut events: Vec<&Event> = history.iter().collect();
    events.sort_by_key(|event| (event.at, event.call.process, event.call.number));
    for together in events.chunk_by(|one, other| one.at == other.at) {
        let of_one_process = |one: &&Event, other: &&Event| one.call.process == other.call.process;
        let processes: Vec<_> = together.chunk_by(of_one_process).collect();
        replay.step_in_some_order(&processes)?;
    }
    Ok(())
}

/// Whether no bucket has ever admitted more than its quota promises: told from the history alone, of the keys of which
/// nothing is charged beyond the limit and nothing is forgotten. How many admissions it has looked at.
pub fn promise(history: &[Event]) -> Result<usize, Found> {
    let mut buckets: BTreeMap<_, Vec<(u64, u64, Call)>> = BTreeMap::new();
    let mut looked_at = 0;
    for event in history {
        for part in event.parts.iter().filter(|part| part.key != ROUGH_KEY) {
            let taken = buckets.entry(bucket(part)).or_default();
            match event.operation {
                Operation::Check if event.is_allowed && part.cost > 0 => {
                    taken.push((event.at, part.cost.into(), event.call));
                    looked_at += 1;
                    let counting: Vec<_> =
                        taken.iter().map(|(at, units, _)| (*at, *units)).collect();
                    if is_too_much(rule(part), &counting) {
                        let place = format!("{event}\nis too much for {part:?}");
                        return Err(Found { lie: Lie::OverAdmission, place });
                    }
                }
                Operation::Refund => {
                    let of_it = taken.iter_mut().find(|(.., call)| Some(*call) == event.taken_by);
                    let units = of_it.map(|(_, units, _)| units);
                    if let Some(units) = units {
                        *units = units.saturating_sub(part.cost.into());
                    }
                }
                Operation::Charge | Operation::Reset => panic!("not of this key: {event}"),
                _ => {}
            }
        }
    }
    Ok(looked_at)
}
