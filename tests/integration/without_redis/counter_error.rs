//! Measures how much `sliding_window_counter` differs from the exact sliding window, for several kinds of traffic.
//! docs/algorithms.md contains the results.
//!
//! The command `scripts/test counter_error -- --nocapture` prints the results.

use std::{collections::VecDeque, time::Duration};

use actix_rateguard::{Key, Policy, test_util};
use futures_util::FutureExt;
use proptest::{
    prelude::Rng,
    test_runner::{RngAlgorithm, TestRng},
};

const LIMIT: usize = 100;
const WINDOW: f64 = 60.0;
const WINDOWS: usize = 500;

/// The differences between the sliding-window counter and the exact sliding window.
#[derive(Debug, PartialEq)]
struct Error {
    /// The requests that the counter admitted although the exact sliding window had no room, in percent of all
    /// requests.
    false_admissions: f64,
    /// The requests that the counter denied although the exact sliding window had room, in percent of all requests.
    false_denials: f64,
    /// The number of requests that the counter admitted, in percent of the number that the exact sliding window
    /// admitted.
    admitted: f64,
    /// The maximum number of requests that the counter admitted within one window, in percent of the limit.
    max: usize,
}

/// Measures these differences for requests that arrive at the given times. The times must be sorted and are in
/// seconds.
fn error(times: &[f64]) -> Error {
    let (guard, clock) = test_util::guard();
    let policy = Policy::new("p", "100/minute sliding_window_counter").unwrap();
    let mut admitted = VecDeque::new();
    let (mut false_admissions, mut false_denials, mut max) = (0, 0, 0);
    let exact_policy = Policy::new("exact", "100/minute").unwrap();
    let (mut admitted_count, mut exactly_admitted) = (0.0, 0.0);
    for time in times {
        let now = Duration::from_secs_f64(6_000_000.0 + time);
        clock.set(now);
        while admitted.front().is_some_and(|at| *at + Duration::from_secs_f64(WINDOW) <= now) {
            admitted.pop_front();
        }
        let is_full = admitted.len() >= LIMIT;
        let allows = |policy| guard.allows(policy, &Key::global()).now_or_never().unwrap();
        exactly_admitted += f64::from(u8::from(allows(&exact_policy)));
        if allows(&policy) {
            admitted_count += 1.0;
            false_admissions += u32::from(is_full);
            admitted.push_back(now);
            max = max.max(admitted.len());
        } else {
            false_denials += u32::from(!is_full);
        }
    }
    let percent = |part: f64, of: f64| (1e3 * part / of).round() / 1e1;
    let requests = times.len() as f64;
    Error {
        false_admissions: percent(f64::from(false_admissions), requests),
        false_denials: percent(f64::from(false_denials), requests),
        admitted: percent(admitted_count, exactly_admitted),
        max,
    }
}

struct Random(TestRng);

impl Random {
    fn new() -> Self {
        Self(TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]))
    }

    /// Returns a random number from 0 to 1.
    fn fraction(&mut self) -> f64 {
        self.0.next_u32() as f64 / f64::from(u32::MAX)
    }
}

/// Returns random times at which requests arrive independently of each other. On average, each window has `load`
/// times as many requests as the limit.
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

/// Returns the times of requests that come in bursts. Each window has one burst, which starts at a random time and
/// takes one second. A burst has `load` times as many requests as the limit.
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

/// Returns the times of requests in the worst case. At the end of a window, there are as many requests as the limit.
/// In the next window, there are 100 requests per second.
fn worst_case() -> Vec<f64> {
    let end = (0..LIMIT).map(|_| WINDOW - 0.001);
    let next = (0..6_000).map(|number| WINDOW + f64::from(number) / 100.0);
    end.chain(next).collect()
}

#[test]
fn counter_error_matches_the_documented_figures() {
    for (name, times, expected) in [
        ("independent, half the limit", independent(0.5), (0.0, 0.0, 100.0, 75)),
        ("independent, the limit", independent(1.0), (11.0, 3.7, 101.1, 113)),
        ("independent, twice the limit", independent(2.0), (3.6, 35.3, 99.7, 106)),
        ("bursts of the limit", bursts(1.0), (13.0, 9.2, 103.4, 194)),
        ("bursts of twice the limit", bursts(2.0), (6.6, 29.6, 103.2, 194)),
        ("worst case", worst_case(), (1.6, 0.0, 199.0, 199)),
    ] {
        let error = error(&times);
        println!("{name}: {error:?}");
        let (false_admissions, false_denials, admitted, max) = expected;
        let is_near = |one: f64, other: f64| (one - other).abs() < 0.25;
        assert!(
            is_near(error.false_admissions, false_admissions)
                && is_near(error.false_denials, false_denials),
            "{name}"
        );
        assert!(is_near(error.admitted, admitted) && error.max == max, "{name}");
    }
}
