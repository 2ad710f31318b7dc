//! How requests are counted.

use std::{error::Error, fmt, str::FromStr};

use crate::shown::shown;

/// How requests are counted.
///
/// | | admits | memory for a key | a check costs |
/// |---|---|---|---|
/// | [`SlidingWindow`](Self::SlidingWindow) | at most `limit` in *any* window, exactly | a time stamp for each request in the window | O(log n) for each unit |
/// | [`SlidingWindowCounter`](Self::SlidingWindowCounter) | about `limit` in any window, never more than two limits | two counters | O(1) |
/// | [`FixedWindow`](Self::FixedWindow) | at most `limit` in each window, up to two limits across the end of one | one counter | O(1) |
/// | [`TokenBucket`](Self::TokenBucket) | at most `burst` at once and `burst + rate × t` in any time `t` | a level and a time stamp | O(1) |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// The exact sliding window, as a log of the admitted requests. The default: it does what a limit says.
    #[default]
    SlidingWindow,
    /// Two counters, of this window and the one before, the older weighted by how much of it still counts (as
    /// Cloudflare described it in 2017). It takes the requests of the older window to be spread evenly.
    SlidingWindowCounter,
    /// A counter that starts at the first request and is forgotten a window later.
    FixedWindow,
    /// A bucket that holds `burst` tokens and is refilled at the rate of the quota, steadily; a request takes a token.
    TokenBucket,
}

impl Algorithm {
    /// All of them, with their names in attributes, files and keys.
    pub const NAMES: [(Self, &str); 4] = [
        (Self::SlidingWindow, "sliding_window"),
        (Self::SlidingWindowCounter, "sliding_window_counter"),
        (Self::FixedWindow, "fixed_window"),
        (Self::TokenBucket, "token_bucket"),
    ];

    /// Its name in attributes, files and keys.
    #[must_use]
    pub fn name(self) -> &'static str {
        let known = Self::NAMES.iter().find(|(algorithm, _)| *algorithm == self);
        known.map_or("", |(_, name)| name)
    }
}

impl FromStr for Algorithm {
    type Err = AlgorithmError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::NAMES.iter().find(|(_, name)| *name == text);
        known.map(|(algorithm, _)| *algorithm).ok_or_else(|| AlgorithmError { text: shown(text) })
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlgorithmError {
    text: String,
}

impl fmt::Display for AlgorithmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let legal: Vec<_> =
            Algorithm::NAMES.iter().map(|(_, name)| format!("\"{name}\"")).collect();
        write!(f, "`{}` is not an algorithm; legal are {}", self.text, legal.join(", "))
    }
}

impl Error for AlgorithmError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_is_read_as_it_is_written() {
        for (algorithm, name) in Algorithm::NAMES {
            assert_eq!(name.parse(), Ok(algorithm));
            assert_eq!(algorithm.to_string(), name);
        }
        let error = "leaky_bucket".parse::<Algorithm>().unwrap_err().to_string();
        assert!(error.contains("`leaky_bucket`") && error.contains("\"token_bucket\""), "{error}");
    }
}
