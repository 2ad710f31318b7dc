//! Code that the integration tests in `integration/` share with the programs that these tests start.

pub mod algorithms;
pub mod attack;
pub mod fuzz;
pub mod history;
pub mod storm;
pub mod upstash;

/// The result that the program `load_generator` prints.
#[derive(Debug, PartialEq, Eq)]
pub struct Tally {
    /// The number of admitted checks for each key.
    pub admitted: Vec<u64>,
    /// The number of checks that returned an error.
    pub unanswered: u64,
}

impl Tally {
    /// Formats the tally as one line: `unanswered`, and then the number of admitted checks for each key.
    #[must_use]
    pub fn to_line(&self) -> String {
        let numbers: Vec<_> =
            std::iter::once(&self.unanswered).chain(&self.admitted).map(u64::to_string).collect();
        numbers.join(" ")
    }

    /// Parses a line that [`to_line`](Self::to_line) has formatted.
    #[must_use]
    pub fn from_line(line: &str) -> Option<Self> {
        let mut numbers = line.split_whitespace().map(|number| number.parse().ok());
        let unanswered = numbers.next()??;
        Some(Self { unanswered, admitted: numbers.collect::<Option<_>>()? })
    }
}
