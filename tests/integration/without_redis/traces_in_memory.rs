//! Runs random traces on the memory store, and compares the results with the model.

use std::time::Duration;

use actix_rateguard::{
    MemoryStore,
    store::{BucketRequest, Operation, Store, Verdict},
    test_util::ManualClock,
};
use futures_util::FutureExt;

use crate::{
    trace_runner::{TracedStore, run_trace},
    traces::{assert_steps, cases_per_algorithm, run, traces, traces_with_clock_steps},
};

/// A memory store whose clock the test sets.
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

impl TracedStore for Memory {
    const RETAINS_EXPIRED: bool = false;

    fn apply(&mut self, operation: Operation, charges: &[BucketRequest<'_>], now: u64) -> Verdict {
        self.clock.set(Duration::from_micros(now));
        self.store.apply(operation, charges).get().now_or_never().unwrap().unwrap()
    }
}

#[test]
fn memory_store_agrees_with_the_model_on_random_traces() {
    let steps = run(cases_per_algorithm(2_000), traces(), |rules, trace| {
        run_trace(rules, trace, &mut Memory::new())
    });
    assert_steps(steps, 100_000);
}

#[test]
fn memory_store_agrees_with_the_model_after_backward_clock_steps() {
    let steps = run(cases_per_algorithm(250), traces_with_clock_steps(), |rules, trace| {
        run_trace(rules, trace, &mut Memory::new())
    });
    assert_steps(steps, 10_000);
}
