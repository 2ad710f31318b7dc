//! How far `sliding_window_counter` is from the exact sliding window, by kind of traffic. The figures are in the README.
//!
//! To see them: `scripts/test counter_error -- --nocapture`.

use std::{collections::VecDeque, time::Duration};

use futures_util::FutureExt;
use proptest::{
    prelude::Rng,
    test_runner::{RngAlgorithm, TestRng},
};
use rateguard::{Key, Policy, test_util};

const LIMIT: usize = 100;
const WINDOW: f64 = 60.0;
const WINDOWS: usize = 500;

/// What differs from the exact window over the same admitted requests.
#[derive(Debug, PartialEq)]
struct Error {
    /// In percent of the requests: admitted though the last window was full.
    too_many: f64,
    /// In percent of the requests: denied though it was not.
    too_few: f64,
    /// In percent of what the exact window admits of the same requests.
    admitted: f64,
    /// In percent of the limit: the most that were admitted in one window.
    most: usize,
}

/// Requests at these seconds, in order.
fn error(times: &[f64]) -> Error {
    let (guard, clock) = test_util::guard();
    let policy = Policy::new("p", "100/minute sliding_window_counter").unwrap();
    let mut admitted = VecDeque::new();
    let (mut too_many, mut too_few, mut most) = (0, 0, 0);
    let exactly = Policy::new("exact", "100/minute").unwrap();
    let (mut all, mut all_exactly) = (0.0, 0.0);
    for time in times {
        let now = Duration::from_secs_f64(6_000_000.0 + time);
        clock.set(now);
        while admitted.front().is_some_and(|at| *at + Duration::from_secs_f64(WINDOW) <= now) {
            admitted.pop_front();
        }
        let is_full = admitted.len() >= LIMIT;
        let allows = |policy| guard.allows(policy, &Key::global()).now_or_never().unwrap();
        all_exactly += f64::from(u8::from(allows(&exactly)));
        if allows(&policy) {
            all += 1.0;
            too_many += u32::from(is_full);
            admitted.push_back(now);
            most = most.max(admitted.len());
        } else {
            too_few += u32::from(!is_full);
        }
    }
    let percent = |part: f64, of: f64| (1e3 * part / of).round() / 1e1;
    let requests = times.len() as f64;
    Error {
        too_many: percent(f64::from(too_many), requests),
        too_few: percent(f64::from(too_few), requests),
        admitted: percent(all, all_exactly),
        most,
    }
}

struct Random(TestRng);

impl Random {
    fn new() -> Self {
        Self(TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]))
    }

    /// From 0 to 1.
    fn fraction(&mut self) -> f64 {
        self.0.next_u32() as f64 / f64::from(u32::MAX)
    }
}

/// Independent requests, so many limits in a window on average.
fn independent(load: f64) -> Vec<f64> {
    let mut random = Random::new();
    let mut time = 0.0;
    let mut times = Vec::new();
    while time < WINDOW * WINDOWS as f64 {
        time -= (1.0 - random.fraction()).max(1e-9).ln() * WINDOW / (load * LIMIT as f64);
        times.push(time);
    }
    times
}

/// A burst of so many limits within a second, at a random time of each window.
fn bursts(load: f64) -> Vec<f64> {
    let mut random = Random::new();
    let each = (load * LIMIT as f64) as usize;
    (0..WINDOWS)
        .flat_map(|window| {
            let start = (window as f64 + random.fraction() * 0.98) * WINDOW;
            (0..each).map(move |number| start + number as f64 / each as f64)
        })
        .collect()
}

/// A limit at the very end of a window, and all that is admitted in the next.
fn at_its_worst() -> Vec<f64> {
    let end = (0..LIMIT).map(|_| WINDOW - 0.001);
    let next = (0..6_000).map(|number| WINDOW + f64::from(number) / 100.0);
    end.chain(next).collect()
}

#[test]
fn the_error_is_as_it_is_documented() {
    for (name, times, expected) in [
        ("independent, half the limit", independent(0.5), (0.0, 0.0, 100.0, 75)),
        ("independent, the limit", independent(1.0), (11.0, 3.7, 101.1, 113)),
        ("independent, twice the limit", independent(2.0), (3.6, 35.3, 99.7, 106)),
        ("bursts of the limit", bursts(1.0), (13.0, 9.2, 103.4, 194)),
        ("bursts of twice the limit", bursts(2.0), (6.6, 29.6, 103.2, 194)),
        ("at its worst", at_its_worst(), (1.6, 0.0, 199.0, 199)),
    ] {
        let error = error(&times);
        println!("{name}: {error:?}");
        let (too_many, too_few, admitted, most) = expected;
        let is_near = |one: f64, other: f64| (one - other).abs() < 0.25;
        assert!(is_near(error.too_many, too_many) && is_near(error.too_few, too_few), "{name}");
        assert!(is_near(error.admitted, admitted) && error.most == most, "{name}");
    }
}
