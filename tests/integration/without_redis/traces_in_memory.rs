//! Random traces on the in-memory store, against the model.

use std::time::Duration;

use futures_util::FutureExt;
use rateguard::{
    MemoryStore,
    store::{Charge, Operation, Store, Verdict},
    test_util::ManualClock,
};

use crate::{
    play::{Subject, play},
    traces::{assert_steps, cases, run, traces, traces_with_clock_steps},
};

/// The in-memory store.
struct Memory {
    store: MemoryStore,
    clock: ManualClock,
}

impl Memory {
    fn new() -> Self {
        let clock = ManualClock::new();
        Self { store: MemoryStore::new().clock(clock.clone()), clock }
    }
}

impl Subject for Memory {
    const KEEPS_WHAT_IS_OVER: bool = false;

    fn apply(&mut self, operation: Operation, charges: &[Charge<'_>], now: u64) -> Verdict {
        self.clock.set(Duration::from_micros(now));
        self.store.apply(operation, charges).get().now_or_never().unwrap().unwrap()
    }
}

#[test]
fn memory_says_what_the_model_says() {
    let steps = run(cases(8_000), traces(), |rules, trace| play(rules, trace, &mut Memory::new()));
    assert_steps(steps, 100_000);
}

#[test]
fn memory_keeps_its_promises_when_the_clock_is_set_back() {
    let steps = run(cases(1_000), traces_with_clock_steps(), |rules, trace| {
        play(rules, trace, &mut Memory::new())
    });
    assert_steps(steps, 10_000);
}
