//! Inputs that are half right, made at random, and what holds for them: run at length by `scripts/fuzz`, and briefly by
//! the integration tests.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "what breaks here is what is sought")]

mod address;
mod driver;
mod grammar;
mod headers_read;
mod headers_write;
mod key;
mod laws;
mod policies;
mod proxies;
mod random;
mod text;

pub use driver::{Broken, Report};

/// Something that is fuzzed.
trait Target: Default {
    /// What is made at random; shown when something breaks.
    type Input: std::fmt::Debug;

    /// What may come of an input. A target that never meets one of them tests less than it says.
    const OUTCOMES: &'static [&'static str];

    /// Makes an input.
    fn input(&self, random: &mut random::Random) -> Self::Input;

    /// Panics if something does not hold; else says which of the outcomes it was, by its place.
    fn check(&mut self, input: &Self::Input) -> usize;
}

/// Runs a target so many times from a seed on.
pub type Run = fn(u64, u64) -> Result<Report, Broken>;

/// All targets by their names.
pub const TARGETS: [(&str, Run); 6] = [
    ("address", driver::run::<address::Address>),
    ("headers_read", driver::run::<headers_read::HeadersRead>),
    ("headers_write", driver::run::<headers_write::HeadersWrite>),
    ("grammar", driver::run::<grammar::Grammar>),
    ("key", driver::run::<key::Keys>),
    ("policies", driver::run::<policies::Policies>),
];
