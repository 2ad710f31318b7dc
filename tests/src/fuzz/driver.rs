//! Runs a target and counts what came of it.

use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use super::{Target, random::Random};

/// How often each outcome was met.
#[derive(Debug)]
pub struct Report {
    /// The outcomes, each with its count.
    pub outcomes: Vec<(&'static str, u64)>,
    /// How long it took.
    pub time: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs: u64 = self.outcomes.iter().map(|(_, count)| count).sum();
        write!(f, "{runs} runs in {:.1} s", self.time.as_secs_f64())?;
        self.outcomes.iter().try_for_each(|(outcome, count)| write!(f, "\n  {count:>9} {outcome}"))
    }
}

/// An input for which something does not hold.
#[derive(Debug)]
pub struct Broken {
    /// The seed that makes this very input in the first run.
    pub seed: u64,
    /// Which run it was, from 1 on.
    pub run: u64,
    /// The input, as a literal; what is not ASCII in it is escaped.
    pub input: String,
    /// What does not hold.
    pub message: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, run, input, message } = self;
        write!(f, "run {run}, which `--seed {seed} --runs 1` repeats:\n{message}\nInput: {input}")
    }
}

/// Each run has a seed of its own, the next number, so that one alone can be repeated.
pub(super) fn run<T: Target>(runs: u64, seed: u64) -> Result<Report, Broken> {
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
                return Err(Broken { seed, run: run + 1, input, message });
            }
        }
    }
    Ok(Report { outcomes, time: start.elapsed() })
}

/// An input in ASCII, so that what looks alike can be told apart.
fn escaped(input: &impl fmt::Debug) -> String {
    let mut text = String::new();
    for c in format!("{input:?}").chars() {
        if c.is_ascii() { text.push(c) } else { text.extend(c.escape_unicode()) }
    }
    text
}

/// What a panic says.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref().copied()).unwrap_or("a panic without words").to_owned()
}
