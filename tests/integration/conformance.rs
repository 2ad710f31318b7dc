//! The public suite for stores: ours pass it, so does one that a user might write, and ones with a mistake do not.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
    time::Duration,
};

use rateguard::{
    Algorithm, Clock, MemoryStore, StoreError,
    store::{Answer, Charge, Level, Operation, Receipt, Store, Verdict},
    test_util::{ManualClock, Time, conformance},
};

use crate::support::redis_server::RedisServer;

const ALL: [Algorithm; 4] = [
    Algorithm::SlidingWindow,
    Algorithm::SlidingWindowCounter,
    Algorithm::FixedWindow,
    Algorithm::TokenBucket,
];

fn memory() -> (MemoryStore, Time) {
    let clock = ManualClock::new();
    (MemoryStore::new().clock(clock.clone()), Time::Manual(clock))
}

#[tokio::test]
async fn the_store_in_memory_keeps_the_contract() {
    let (store, time) = memory();
    conformance(&store, time, &ALL).await;
}

#[tokio::test]
async fn the_store_in_memory_keeps_the_contract_by_its_own_clock() {
    conformance(&MemoryStore::new(), Time::Real, &ALL).await;
}

#[tokio::test]
async fn the_store_on_redis_keeps_the_contract() {
    let server = RedisServer::start();
    let guard = server.guard("conformance");
    conformance(guard.store(), Time::Real, &ALL).await;
}

/// Units by the time and the number of the call that took them.
type Admitted = BTreeMap<(Duration, u64), u32>;

/// A store as a user might write it: the log alone, under one lock.
struct Logs {
    clock: ManualClock,
    admitted: Mutex<HashMap<String, Admitted>>,
    calls: Mutex<u64>,
}

impl Logs {
    fn apply_now(&self, operation: Operation, charges: &[Charge<'_>]) -> Verdict {
        let mut logs = self.admitted.lock().unwrap();
        let now = self.clock.now();
        let call = {
            let mut calls = self.calls.lock().unwrap();
            *calls += 1;
            *calls
        };
        let name = |charge: &Charge<'_>| charge.bucket.storage_key("logs");
        for charge in charges {
            let log = logs.entry(name(charge)).or_default();
            if operation == Operation::Refund {
                let [at, taken_by, _] = charge.receipt.words();
                if let Some(units) = log.get_mut(&(Duration::from_micros(at), taken_by)) {
                    *units -= charge.cost.min(*units);
                }
            }
            if operation == Operation::Reset {
                log.clear();
            }
        }
        let level = |logs: &HashMap<String, BTreeMap<_, u32>>, charge: &Charge<'_>| {
            let counting: Vec<(Duration, u32)> = logs[&name(charge)]
                .iter()
                .map(|((at, _), units)| (*at, *units))
                .filter(|(at, units)| *at + charge.quota.window() > now && *units > 0)
                .collect();
            let used: u32 = counting.iter().map(|(_, units)| units).sum();
            let capacity = charge.quota.capacity();
            let until = |units: u32| {
                let mut used = used;
                let mut leaving = counting.iter();
                let mut wait = Duration::ZERO;
                while used + units > capacity {
                    let (at, units) = leaving.next()?;
                    used -= units;
                    wait = *at + charge.quota.window() - now;
                }
                Some(wait)
            };
            let remaining = capacity.saturating_sub(used);
            Level {
                remaining,
                reset_after: until(remaining + 1).unwrap_or(Duration::ZERO),
                retry_after: if charge.cost == 0 {
                    Some(Duration::ZERO)
                } else {
                    until(charge.cost)
                },
            }
        };
        let has_room =
            |charge: &Charge<'_>| level(&logs, charge).retry_after == Some(Duration::ZERO);
        let allowed = match operation {
            Operation::Check | Operation::Peek => charges.iter().all(has_room),
            _ => true,
        };
        if operation == Operation::Check && allowed || operation == Operation::Charge {
            for charge in charges {
                let log = logs.get_mut(&name(charge)).unwrap();
                log.insert((now, call), charge.taken());
            }
        }
        let receipt = Receipt::new([now.as_micros() as u64, call, 0]);
        Verdict::new(allowed, charges.iter().map(|charge| (level(&logs, charge), receipt)))
    }
}

impl Store for Logs {
    fn apply<'a>(&'a self, operation: Operation, charges: &'a [Charge<'a>]) -> Answer<'a> {
        Answer::Now(Ok(self.apply_now(operation, charges)))
    }
}

#[tokio::test]
async fn a_store_of_a_users_own_keeps_the_contract() {
    let clock = ManualClock::new();
    let store = Logs { clock: clock.clone(), admitted: Mutex::default(), calls: Mutex::default() };
    conformance(&store, Time::Manual(clock), &[Algorithm::SlidingWindow]).await;
}

/// What a store with a mistake does, on top of the store in memory.
type Mistake = fn(&MemoryStore, Operation, &[Charge<'_>]) -> Result<Verdict, StoreError>;

struct Mistaken(MemoryStore, Mistake);

impl Store for Mistaken {
    fn apply<'a>(&'a self, operation: Operation, charges: &'a [Charge<'a>]) -> Answer<'a> {
        Answer::Now((self.1)(&self.0, operation, charges))
    }
}

/// What a store that is there answers at once.
fn answer(store: &MemoryStore, operation: Operation, charges: &[Charge<'_>]) -> Verdict {
    match store.apply(operation, charges) {
        Answer::Now(Ok(verdict)) => verdict,
        other => panic!("{other:?}"),
    }
}

macro_rules! mistakes {
    ($($name:ident $message:literal: $mistake:expr;)*) => {$(
        #[tokio::test]
        #[should_panic(expected = $message)]
        async fn $name() {
            let (store, time) = memory();
            conformance(&Mistaken(store, $mistake), time, &ALL).await;
        }
    )*};
}

mistakes! {
    a_store_that_always_admits_is_found "no more are admitted than the limit says":
        |store, operation, charges| {
            let verdict = answer(store, operation, charges);
            Ok(Verdict::new(true, verdict.levels().zip(verdict.receipts())))
        };
    a_store_whose_peek_takes_is_found "a peek takes nothing":
        |store, operation, charges| {
            let operation = if operation == Operation::Peek { Operation::Check } else { operation };
            Ok(answer(store, operation, charges))
        };
    a_store_that_ignores_the_cost_is_found "a peek says what a check would":
        |store, operation, charges| {
            let mut charges = charges.to_vec();
            charges.iter_mut().for_each(|charge| charge.cost = charge.cost.min(1));
            Ok(answer(store, operation, &charges))
        };
    a_store_that_takes_some_of_several_is_found "a denial takes nothing of the buckets that have room":
        |store, operation, charges| {
            let verdicts: Vec<_> =
                charges.iter().map(|charge| answer(store, operation, &[*charge])).collect();
            let levels = verdicts.iter().flat_map(|it| it.levels().zip(it.receipts()));
            Ok(Verdict::new(verdicts.iter().all(Verdict::is_allowed), levels))
        };
    a_store_that_uses_gates_up_is_found "a gate is not used up":
        |store, operation, charges| {
            let mut charges = charges.to_vec();
            charges.iter_mut().for_each(|charge| charge.is_gate = false);
            Ok(answer(store, operation, &charges))
        };
    a_store_that_tells_too_short_a_wait_is_found "who comes a tick too early is denied":
        |store, operation, charges| {
            let verdict = answer(store, operation, charges);
            let hasten = |level: Level| Level {
                retry_after: level.retry_after.map(|wait| wait / 2),
                ..level
            };
            Ok(Verdict::new(verdict.is_allowed(), verdict.levels().map(hasten).zip(verdict.receipts())))
        };
    a_store_that_gives_nothing_back_is_found "as much is given back as was asked for":
        |store, operation, charges| {
            let operation = if operation == Operation::Refund { Operation::Peek } else { operation };
            Ok(answer(store, operation, charges))
        };
    a_store_that_gives_back_what_others_took_is_found "what is over is not given back":
        |store, operation, charges| {
            let is_small = charges[0].quota.limit() == 2;
            let operation = match operation {
                Operation::Refund if is_small => Operation::Reset,
                other => other,
            };
            Ok(answer(store, operation, charges))
        };
    a_store_that_refuses_a_charge_is_found "a charge takes its cost without room for it":
        |store, operation, charges| {
            let operation = if operation == Operation::Charge { Operation::Check } else { operation };
            Ok(answer(store, operation, charges))
        };
    a_store_that_forgets_nothing_is_found "a reset forgets what was counted":
        |store, operation, charges| {
            let operation = if operation == Operation::Reset { Operation::Peek } else { operation };
            Ok(answer(store, operation, charges))
        };
    a_store_that_does_not_answer_is_found "a store that is there answers":
        |_, _, _| Err(StoreError::Unreachable);
}
