//! Defines the algorithms that count requests.

use std::{error::Error, fmt, str::FromStr};

use crate::{escape::escape_for_display, suggest};

/// An algorithm that counts requests and decides whether a quota has room.
///
/// All algorithms except [`Concurrency`](Self::Concurrency) limit a rate, which is a number of requests in a window, or
/// in a period of the calendar:
///
/// | | Admits | Memory per key | Cost of a check |
/// |---|---|---|---|
/// | [`SlidingWindow`](Self::SlidingWindow) | at most `limit` in *any* window | a timestamp for each request in the window | O(log n) for each unit, with n timestamps |
/// | [`SlidingWindowCounter`](Self::SlidingWindowCounter) | about `limit` in any window, and never more than `2 × limit` | two counters | O(1) |
/// | [`FixedWindow`](Self::FixedWindow) | at most `limit` in each window, but up to `2 × limit` in a short time around the end of a window | one counter | O(1) |
/// | [`Calendar`](Self::Calendar) | at most `limit` in each period of the calendar, but up to `2 × limit` in a short time around the end of a period | one counter | O(1) |
/// | [`TokenBucket`](Self::TokenBucket) | at most `burst` at one moment, and at most `burst + rate × t` in any time `t` | the number of tokens and a timestamp | O(1) |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// An exact sliding window, with a log of the times of all admitted requests. This algorithm is the default,
    /// because it enforces the limit exactly.
    #[default]
    SlidingWindow,
    /// An approximate sliding window, which Cloudflare described in 2017. It has one counter for the current fixed
    /// window and one counter for the previous fixed window. The sliding window covers the current fixed window and a
    /// fraction of the previous fixed window. The algorithm multiplies the previous counter by this fraction, and adds
    /// the current counter. The sum is approximate, because the algorithm assumes that the requests of the previous
    /// fixed window were spread evenly.
    SlidingWindowCounter,
    /// A fixed window with one counter. The window starts at the first request. At the end of the window, the counter
    /// returns to 0. The next request then starts a new window.
    FixedWindow,
    /// A bucket that holds at most `burst` tokens and gets new tokens steadily at the rate of the quota. A request
    /// takes one token for each unit of its cost.
    TokenBucket,
    /// A limit on the number of requests that are in progress at the same time. Each request holds a permit until it
    /// ends. The store gives a permit back if its holder does not renew the lease of the permit in time.
    /// [`Quota::concurrent`](crate::Quota::concurrent) creates a quota with this algorithm.
    Concurrency,
    /// A counter that returns to 0 at the end of a period of the calendar, such as a day in a time zone.
    /// [`Quota::calendar`](crate::Quota::calendar) creates a quota with this algorithm.
    Calendar,
}

/// Generates the constant `NAMES` and the method `name` from one table of the algorithms that limit a rate. If an
/// algorithm is missing in the table, the crate does not compile.
macro_rules! names {
    ($count:literal: $($algorithm:ident => $name:literal,)*) => {
        impl Algorithm {
            /// All algorithms that limit a rate, with the names that macro attributes and policies files use for them.
            /// [`Concurrency`](Self::Concurrency) is not in this list, because it limits no rate, and neither is
            /// [`Calendar`](Self::Calendar), because it requires a calendar period in place of a window.
            pub const NAMES: [(Self, &str); $count] = [$((Self::$algorithm, $name)),*];

            /// Returns the name that macro attributes, policies files and stores use for the algorithm.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$algorithm => $name,)*
                    Self::Concurrency => "concurrency",
                    Self::Calendar => "calendar",
                }
            }
        }
    };
}

names! {
    4:
    SlidingWindow => "sliding_window",
    SlidingWindowCounter => "sliding_window_counter",
    FixedWindow => "fixed_window",
    TokenBucket => "token_bucket",
}

/// These methods return the properties of an algorithm.
impl Algorithm {
    /// Returns whether a bucket with this algorithm stores the time of each admitted unit. If so, the memory that the
    /// bucket needs and the duration of a check grow with the number of units.
    #[must_use]
    pub const fn is_log(self) -> bool {
        match self {
            Self::SlidingWindow | Self::Concurrency => true,
            Self::SlidingWindowCounter | Self::FixedWindow | Self::TokenBucket | Self::Calendar => {
                false
            }
        }
    }

    /// Returns whether a quota with this algorithm limits the number of requests in progress, and not a rate. Each of
    /// these requests holds a permit.
    #[must_use]
    pub const fn has_permits(self) -> bool {
        match self {
            Self::Concurrency => true,
            Self::SlidingWindow
            | Self::SlidingWindowCounter
            | Self::FixedWindow
            | Self::TokenBucket
            | Self::Calendar => false,
        }
    }

    /// Returns whether a quota with this algorithm can have a burst that differs from its limit.
    #[must_use]
    pub const fn has_burst(self) -> bool {
        match self {
            Self::TokenBucket => true,
            Self::SlidingWindow
            | Self::SlidingWindowCounter
            | Self::FixedWindow
            | Self::Concurrency
            | Self::Calendar => false,
        }
    }

    /// Returns whether a quota with this algorithm can have a [lease](crate::Quota::with_lease).
    #[must_use]
    pub const fn has_leases(self) -> bool {
        match self {
            Self::SlidingWindow | Self::TokenBucket => true,
            Self::SlidingWindowCounter | Self::FixedWindow | Self::Concurrency | Self::Calendar => {
                false
            }
        }
    }

    /// Returns whether a bucket with this algorithm counts in parts of a token, which
    /// [`Quota::token`](crate::Quota::token) defines. If so, a full bucket must have fewer than
    /// [`Quota::MAX_DEBT`](crate::Quota::MAX_DEBT) parts. A quota whose bucket would have more parts is invalid, even
    /// if the quota has no burst.
    #[must_use]
    pub const fn counts_parts(self) -> bool {
        match self {
            Self::TokenBucket => true,
            Self::SlidingWindow
            | Self::SlidingWindowCounter
            | Self::FixedWindow
            | Self::Concurrency
            | Self::Calendar => false,
        }
    }
}

impl FromStr for Algorithm {
    type Err = AlgorithmError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let entry = Self::NAMES.iter().find(|(_, name)| *name == text);
        entry
            .map(|(algorithm, _)| *algorithm)
            .ok_or_else(|| AlgorithmError { text: escape_for_display(text) })
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The error for a text that is not the name of an algorithm.
#[derive(Clone, PartialEq, Eq)]
pub struct AlgorithmError {
    text: String,
}

impl fmt::Display for AlgorithmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> =
            Algorithm::NAMES.iter().map(|(_, name)| format!("\"{name}\"")).collect();
        write!(f, "unknown algorithm `{}`; ", self.text)?;
        if let Some(name) = suggest(&self.text, Algorithm::NAMES.map(|(_, name)| name)) {
            write!(f, "did you mean `{name}`? ")?;
        }
        write!(f, "expected one of {}", names.join(", "))
    }
}

crate::debug_as_display::debug_as_display!(AlgorithmError);

impl Error for AlgorithmError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_round_trips_and_unknown_names_are_rejected() {
        for (algorithm, name) in Algorithm::NAMES {
            assert_eq!(name.parse(), Ok(algorithm));
            assert_eq!(algorithm.to_string(), name);
        }
        let error = "adaptive".parse::<Algorithm>().unwrap_err().to_string();
        assert!(error.contains("`adaptive`") && error.contains("\"token_bucket\""), "{error}");
        let error = "token-bucket".parse::<Algorithm>().unwrap_err().to_string();
        assert!(error.contains("did you mean `token_bucket`? expected one of"), "{error}");
    }
}
