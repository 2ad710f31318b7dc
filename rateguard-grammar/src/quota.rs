//! How much of what is allowed: a limit, a window, and how it is counted.

use std::{error::Error, fmt, time::Duration};

use crate::Algorithm;

/// How many requests in which time, and how they are counted.
///
/// It is read from `"5/minute"`, `"100/10s"` or `"20 per 5 minutes"`, which the exact sliding window counts, or with an
/// algorithm behind it: `"5/minute fixed_window"`, `"100/second token_bucket burst 20"`. It is written the same way.
///
/// ```
/// # use rateguard_grammar::{Algorithm, Quota};
/// # use std::time::Duration;
/// let quota: Quota = "5/minute".parse()?;
/// assert_eq!(quota, Quota::new(5, Duration::from_secs(60))?);
///
/// let bursts = quota.with_algorithm(Algorithm::TokenBucket)?.with_burst(20)?;
/// assert_eq!(bursts.to_string(), "5/minute token_bucket burst 20");
/// # Ok::<(), rateguard_grammar::RateError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    // As small as it can be: every check carries it. Limit and window, in microseconds, are kept divided by what they
    // have in common, which is how tokens are counted.
    units: u64,
    refill: u32,
    common: u32,
    capacity: u32,
    algorithm: Algorithm,
}

impl Quota {
    /// The highest limit: 2^31 requests.
    pub const MAX_LIMIT: u32 = 1 << 31;
    /// The shortest window: a millisecond.
    pub const MIN_WINDOW: Duration = Duration::from_millis(1);
    /// The longest window: a year of 365 days.
    pub const MAX_WINDOW: Duration = Duration::from_secs(365 * 86_400);
    /// What the debt of a token bucket comes to at the most, in units of a [`token`](Self::token): below 2^53 all stores
    /// count exactly.
    pub const MAX_DEBT: u64 = 1 << 52;

    /// The most that one request may cost under [`Algorithm::SlidingWindow`]: 10,000. In Redis its log keeps an entry for
    /// each unit, and whoever writes very many at once makes all others wait.
    pub const MAX_LOG_COST: u32 = 10_000;

    /// At most `limit` requests in any `window`, which is rounded up to whole microseconds. The algorithm is
    /// [`Algorithm::SlidingWindow`].
    ///
    /// # Errors
    ///
    /// [`QuotaError`] unless the limit is from 1 to [`MAX_LIMIT`](Self::MAX_LIMIT) and the window from
    /// [`MIN_WINDOW`](Self::MIN_WINDOW) to [`MAX_WINDOW`](Self::MAX_WINDOW).
    pub const fn new(limit: u32, window: Duration) -> Result<Self, QuotaError> {
        if limit == 0 || limit > Self::MAX_LIMIT {
            return Err(QuotaError::Limit);
        }
        let nanos = window.as_nanos();
        if nanos < Self::MIN_WINDOW.as_nanos() || nanos > Self::MAX_WINDOW.as_nanos() {
            return Err(QuotaError::Window);
        }
        // A year has fewer than 2^45 microseconds.
        let micros = nanos.div_ceil(1_000) as u64;
        // It is no more than the limit.
        let common = greatest_common_divisor(micros, limit as u64) as u32;
        Ok(Self {
            units: micros / common as u64,
            refill: limit / common,
            common,
            capacity: limit,
            algorithm: Algorithm::SlidingWindow,
        })
    }

    /// The same limit and window, counted in this way. A token bucket holds `limit` tokens, unless
    /// [`with_burst`](Self::with_burst) says otherwise.
    ///
    /// # Errors
    ///
    /// [`QuotaError::Precision`] if a token bucket cannot count this exactly; see there.
    pub const fn with_algorithm(self, algorithm: Algorithm) -> Result<Self, QuotaError> {
        Self { algorithm, capacity: self.limit(), ..self }.countable()
    }

    /// The same token bucket, with room for so many tokens: so many requests are admitted at once after a quiet time.
    ///
    /// # Errors
    ///
    /// [`QuotaError::Burst`] unless the algorithm is [`Algorithm::TokenBucket`] and the burst from 1 to
    /// [`MAX_LIMIT`](Self::MAX_LIMIT); [`QuotaError::Precision`] if it cannot be counted exactly; see there.
    pub const fn with_burst(self, burst: u32) -> Result<Self, QuotaError> {
        if !matches!(self.algorithm, Algorithm::TokenBucket)
            || burst == 0
            || burst > Self::MAX_LIMIT
        {
            return Err(QuotaError::Burst);
        }
        Self { capacity: burst, ..self }.countable()
    }

    const fn countable(self) -> Result<Self, QuotaError> {
        if matches!(self.algorithm, Algorithm::TokenBucket)
            && self.units.saturating_mul(self.capacity as u64) >= Self::MAX_DEBT
        {
            return Err(QuotaError::Precision);
        }
        Ok(self)
    }

    /// How many requests are admitted in a window; of a token bucket, how many tokens come back in it.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.refill * self.common
    }

    /// How long the window is, in whole microseconds.
    #[must_use]
    pub const fn window(&self) -> Duration {
        Duration::from_micros(self.window_micros())
    }

    /// How many microseconds the window is long: less than 2^45.
    #[must_use]
    pub const fn window_micros(&self) -> u64 {
        self.units * self.common as u64
    }

    /// How requests are counted.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// How many requests are admitted at once at the most: the burst of a token bucket, else the limit.
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.capacity
    }

    /// The most that one request may cost: the [`capacity`](Self::capacity), and of a log no more than
    /// [`MAX_LOG_COST`](Self::MAX_LOG_COST).
    #[must_use]
    pub const fn max_cost(&self) -> u32 {
        if matches!(self.algorithm, Algorithm::SlidingWindow) && self.capacity > Self::MAX_LOG_COST
        {
            Self::MAX_LOG_COST
        } else {
            self.capacity
        }
    }

    /// A token in units of which whole numbers come back in a microsecond: the units of a token, and those that come
    /// back in a microsecond.
    #[must_use]
    pub const fn token(&self) -> (u64, u64) {
        (self.units, self.refill as u64)
    }
}

impl fmt::Debug for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quota")
            .field("limit", &self.limit())
            .field("window", &self.window())
            .field("algorithm", &self.algorithm)
            .field("capacity", &self.capacity)
            .finish()
    }
}

const fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// A number that is out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuotaError {
    /// A limit is a whole number from 1 to 2147483648.
    Limit,
    /// A window is from 1 millisecond to 365 days long.
    Window,
    /// A burst is a whole number from 1 to 2147483648, and of a token bucket.
    Burst,
    /// A token bucket counts fractions of tokens. To do so exactly, the burst times the window in microseconds, both
    /// the limit and the window divided by what they have in common, has to be less than 2^52: rounder numbers are.
    Precision,
}

impl fmt::Display for QuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit => write!(f, "a limit is a whole number from 1 to {}", Quota::MAX_LIMIT),
            Self::Window => f.write_str("a window is from 1 millisecond to 365 days long"),
            Self::Burst => write!(
                f,
                "a burst is a whole number from 1 to {}, for the algorithm \"token_bucket\"",
                Quota::MAX_LIMIT
            ),
            Self::Precision => f.write_str(
                "a token bucket cannot count this exactly; take a smaller burst, or a limit that divides the window",
            ),
        }
    }
}

impl Error for QuotaError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_each_range_are_legal_and_the_next_value_is_not() {
        let second = Duration::from_secs(1);
        let tick = Duration::from_nanos(1);
        for (limit, window, expected) in [
            (1, second, Ok(())),
            (0, second, Err(QuotaError::Limit)),
            (Quota::MAX_LIMIT, second, Ok(())),
            (Quota::MAX_LIMIT + 1, second, Err(QuotaError::Limit)),
            (1, Quota::MIN_WINDOW, Ok(())),
            (1, Quota::MIN_WINDOW - tick, Err(QuotaError::Window)),
            (1, Quota::MAX_WINDOW, Ok(())),
            (1, Quota::MAX_WINDOW + tick, Err(QuotaError::Window)),
        ] {
            assert_eq!(Quota::new(limit, window).map(|_| ()), expected, "{limit} {window:?}");
        }
    }

    #[test]
    fn a_window_between_two_microseconds_is_rounded_up() {
        let quota = Quota::new(1, Duration::from_nanos(1_000_001)).unwrap();
        assert_eq!(quota.window(), Duration::from_micros(1_001));
    }
}
