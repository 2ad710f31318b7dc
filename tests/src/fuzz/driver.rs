//! Runs a target of the fuzzer, which is a kind of input with properties to check. Counts how often each outcome
//! of a run occurs.

use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use super::{Target, random::Random};

/// The result of running a target.
#[derive(Debug)]
pub struct Report {
    /// The outcomes, each with the number of runs that ended with this outcome.
    pub outcomes: Vec<(&'static str, u64)>,
    /// The total duration of all runs.
    pub time: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs: u64 = self.outcomes.iter().map(|(_, count)| count).sum();
        write!(f, "{runs} runs in {:.1} s", self.time.as_secs_f64())?;
        self.outcomes.iter().try_for_each(|(outcome, count)| write!(f, "\n  {count:>9} {outcome}"))
    }
}

/// An input that violates a property.
#[derive(Debug)]
pub struct Counterexample {
    /// The seed of the failed run. If the fuzzer starts with this seed, its first run has the same input.
    pub seed: u64,
    /// The number of the failed run, counted from 1.
    pub run: u64,
    /// The input as a Rust literal. Characters outside ASCII are escaped.
    pub input: String,
    /// The message of the failed assertion.
    pub message: String,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, run, input, message } = self;
        write!(
            f,
            "run {run} failed; `--seed {seed} --runs 1` repeats it:\n{message}\ninput: {input}"
        )
    }
}

/// Runs a target. Each run has a different seed, so a single run can be repeated without the runs before it.
pub(super) fn run<T: Target>(runs: u64, seed: u64) -> Result<Report, Counterexample> {
    let start = Instant::now();
    let mut target = T::default();
    let mut outcomes: Vec<_> = T::OUTCOMES.iter().map(|outcome| (*outcome, 0)).collect();
    for run in 0..runs {
        let seed = seed.wrapping_add(run);
        let input = target.input(&mut Random::new(seed));
        match catch_unwind(AssertUnwindSafe(|| target.check(&input))) {
            Ok(outcome) => outcomes[outcome].1 += 1,
            Err(panic) => {
                let (input, message) = (escaped(&input), message(&*panic));
                return Err(Counterexample { seed, run: run + 1, input, message });
            }
        }
    }
    Ok(Report { outcomes, time: start.elapsed() })
}

/// Formats the input in ASCII. Without escapes, some different characters would look the same.
fn escaped(input: &impl fmt::Debug) -> String {
    let mut text = String::new();
    for c in format!("{input:?}").chars() {
        if c.is_ascii() { text.push(c) } else { text.extend(c.escape_unicode()) }
    }
    text
}

/// Returns the message of a panic.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref().copied()).unwrap_or("a panic without a message").to_owned()
}
