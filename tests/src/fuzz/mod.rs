//! Property tests that use random inputs which are almost valid. The script `scripts/fuzz` makes many runs, and the
//! integration tests make a few runs.

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
pub use grammar::QUOTAS as QUOTA_EXAMPLES;

/// A target of the fuzzer: a kind of input, and the properties that each of these inputs must have.
trait Target: Default {
    /// The type of the random input. The fuzzer prints an input that violates a property.
    type Input: std::fmt::Debug;

    /// The possible outcomes of a run without a violation. Each outcome must occur, because otherwise the inputs are
    /// not varied enough.
    const OUTCOMES: &'static [&'static str];

    /// Creates a random input.
    fn input(&self, random: &mut random::Random) -> Self::Input;

    /// Checks the properties for an input, and returns the index of the outcome. A violated property causes a panic.
    fn check(&mut self, input: &Self::Input) -> usize;
}

/// A function that runs a target. The arguments are the number of runs and the first seed.
pub type Run = fn(u64, u64) -> Result<Report, Counterexample>;

/// The names and functions of all targets.
pub const TARGETS: [(&str, Run); 6] = [
    ("address", driver::run::<address::Address>),
    ("headers_read", driver::run::<headers_read::HeadersRead>),
    ("headers_write", driver::run::<headers_write::HeadersWrite>),
    ("grammar", driver::run::<grammar::Grammar>),
    ("key", driver::run::<key::Keys>),
    ("policies", driver::run::<policies::Policies>),
];
