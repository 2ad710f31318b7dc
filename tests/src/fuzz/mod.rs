//! Property tests with random inputs that are almost valid. `scripts/fuzz` makes many runs, and the integration tests
//! make few.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a panic is a failed property")]

mod address;
mod driver;
mod grammar;
mod headers_read;
mod headers_write;
mod key;
mod policies;
mod properties;
mod proxies;
mod random;
mod text;

pub use driver::{Counterexample, Report};

/// A target of the fuzzer.
trait Target: Default {
    /// The random input. The fuzzer prints an input that violates a property.
    type Input: std::fmt::Debug;

    /// The possible outcomes of a valid run. Each outcome must occur, because otherwise the target tests too little.
    const OUTCOMES: &'static [&'static str];

    /// Creates a random input.
    fn input(&self, random: &mut random::Random) -> Self::Input;

    /// Checks the properties for an input and returns the index of the outcome. A violated property causes a panic.
    fn check(&mut self, input: &Self::Input) -> usize;
}

/// Runs a target. The arguments are the number of runs and the first seed.
pub type Run = fn(u64, u64) -> Result<Report, Counterexample>;

/// All targets by name.
pub const TARGETS: [(&str, Run); 6] = [
    ("address", driver::run::<address::Address>),
    ("headers_read", driver::run::<headers_read::HeadersRead>),
    ("headers_write", driver::run::<headers_write::HeadersWrite>),
    ("grammar", driver::run::<grammar::Grammar>),
    ("key", driver::run::<key::Keys>),
    ("policies", driver::run::<policies::Policies>),
];
