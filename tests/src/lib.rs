//! RateGuard's integration tests are in `integration/`; this library only holds what they and their processes share.

pub mod attack;
pub mod fuzz;
pub mod history;
pub mod storm;

/// What a hammering process says at its end: how many checks of each key were admitted, and how many failed.
#[derive(Debug, PartialEq, Eq)]
pub struct Tally {
    /// Admitted checks, by key.
    pub admitted: Vec<u64>,
    /// Checks without an answer.
    pub unanswered: u64,
}

impl Tally {
    /// As one line: the unanswered, then the admitted of each key.
    #[must_use]
    pub fn to_line(&self) -> String {
        let numbers: Vec<_> =
            std::iter::once(&self.unanswered).chain(&self.admitted).map(u64::to_string).collect();
        numbers.join(" ")
    }

    /// Reads such a line.
    #[must_use]
    pub fn from_line(line: &str) -> Option<Self> {
        let mut numbers = line.split_whitespace().map(|number| number.parse().ok());
        let unanswered = numbers.next()??;
        Some(Self { unanswered, admitted: numbers.collect::<Option<_>>()? })
    }
}
