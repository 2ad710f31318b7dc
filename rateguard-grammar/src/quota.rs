//! How much of what is allowed: a limit and a window.

use std::{convert::Infallible, error::Error, fmt, str::FromStr, time::Duration};

use crate::{
    Algorithm,
    window::{WindowError, parse_window, write_window},
};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quota {
    limit: u32,
    window: Duration,
    algorithm: Algorithm,
    capacity: u32,
}

impl Quota {
    /// The highest limit: 2^31 requests.
    pub const MAX_LIMIT: u32 = 1 << 31;
    /// The shortest window: a millisecond.
    pub const MIN_WINDOW: Duration = Duration::from_millis(1);
    /// The longest window: a year of 365 days.
    pub const MAX_WINDOW: Duration = Duration::from_secs(365 * 86_400);
    /// What the debt of a token bucket may come to, so that all stores count it exactly.
    const MAX_DEBT: u64 = 1 << 52;

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
        let window = Duration::from_micros(nanos.div_ceil(1_000) as u64);
        Ok(Self { limit, window, algorithm: Algorithm::SlidingWindow, capacity: limit })
    }

    /// The same limit and window, counted in this way. A token bucket holds `limit` tokens, unless
    /// [`with_burst`](Self::with_burst) says otherwise.
    ///
    /// # Errors
    ///
    /// [`QuotaError::Precision`] if a token bucket cannot count this exactly; see there.
    pub const fn with_algorithm(self, algorithm: Algorithm) -> Result<Self, QuotaError> {
        Self { algorithm, capacity: self.limit, ..self }.countable()
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
        if matches!(self.algorithm, Algorithm::TokenBucket) {
            let (units, _) = self.token();
            if units.saturating_mul(self.capacity as u64) >= Self::MAX_DEBT {
                return Err(QuotaError::Precision);
            }
        }
        Ok(self)
    }

    /// How many requests are admitted in a window; of a token bucket, how many tokens come back in it.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// How long the window is, in whole microseconds.
    #[must_use]
    pub const fn window(&self) -> Duration {
        self.window
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

    /// A token in units of which whole numbers come back in a microsecond: the units of a token, and those that come
    /// back in a microsecond.
    #[must_use]
    pub const fn token(&self) -> (u64, u64) {
        let window = self.window.as_micros() as u64;
        let common = greatest_common_divisor(window, self.limit as u64);
        (window / common, self.limit as u64 / common)
    }
}

const fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl FromStr for Quota {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || RateError::Notation { text: text.to_owned() };
        let (rate, algorithm) = split_at_algorithm(text);
        let (limit, window) =
            rate.split_once('/').or_else(|| rate.split_once(" per ")).ok_or_else(refuse)?;
        let quota = Self::new(
            number(limit).ok_or_else(refuse)??,
            parse_window(window).map_err(RateError::Window)?,
        )?;

        let mut words = algorithm.split_whitespace();
        let Some(name) = words.next() else { return Ok(quota) };
        let quota = quota.with_algorithm(name.parse().map_err(|_| refuse())?)?;
        match (words.next(), words.next(), words.next()) {
            (None, ..) => Ok(quota),
            (Some("burst"), Some(burst), None) => {
                let burst = number(burst).ok_or_else(refuse)?.map_err(|_| QuotaError::Burst)?;
                Ok(quota.with_burst(burst)?)
            }
            _ => Err(refuse()),
        }
    }
}

/// The rate, and the name of an algorithm with what follows it.
fn split_at_algorithm(text: &str) -> (&str, &str) {
    let place =
        Algorithm::NAMES.iter().filter_map(|(_, name)| text.find(&format!(" {name}"))).min();
    place.map_or((text, ""), |place| text.split_at(place))
}

/// A whole number, if these are digits. Those that do not fit are above the highest limit.
fn number(text: &str) -> Option<Result<u32, QuotaError>> {
    let text = text.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().map_err(|_| QuotaError::Limit))
}

impl TryFrom<&str> for Quota {
    type Error = RateError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl TryFrom<String> for Quota {
    type Error = RateError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.limit)?;
        write_window(self.window, f)?;
        if self.algorithm != Algorithm::default() {
            write!(f, " {}", self.algorithm)?;
        }
        if self.capacity != self.limit {
            write!(f, " burst {}", self.capacity)?;
        }
        Ok(())
    }
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

/// A text that is no quota.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RateError {
    /// It is not a limit, a slash and a window.
    Notation {
        /// What was written.
        text: String,
    },
    /// Its window is no length of time.
    Window(WindowError),
    /// Its limit or its window is out of range.
    Quota(QuotaError),
}

impl fmt::Display for RateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Notation { text } => write!(
                f,
                "`{text}` is not a rate; write a limit and a window, such as \"5/minute\", \"100/10s\" or \"20 per 5 minutes\""
            ),
            Self::Window(error) => error.fmt(f),
            Self::Quota(error) => error.fmt(f),
        }
    }
}

impl Error for RateError {}

impl From<QuotaError> for RateError {
    fn from(error: QuotaError) -> Self {
        Self::Quota(error)
    }
}

/// So that a [`Quota`] can stand where text that is read as a quota can.
impl From<Infallible> for RateError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(text: &str) -> Quota {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn one_quota_has_many_spellings() {
        for text in ["5/minute", "5/m", "5 / 60s", " 5 per minute ", "5 per 60 seconds", "5/1min"] {
            assert_eq!(quota(text), Quota::new(5, Duration::from_secs(60)).unwrap(), "{text}");
        }
    }

    #[test]
    fn a_quota_is_written_as_it_is_read() {
        for text in
            ["5/minute", "100/10 seconds", "1/day", "2147483648/365 days", "7/1500 microseconds"]
        {
            assert_eq!(quota(text).to_string(), text);
        }
    }

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
        assert_eq!("99999999999999999999/s".parse::<Quota>(), Err(QuotaError::Limit.into()));
    }

    #[test]
    fn a_window_between_two_microseconds_is_rounded_up() {
        let quota = Quota::new(1, Duration::from_nanos(1_000_001)).unwrap();
        assert_eq!(quota.window(), Duration::from_micros(1_001));
    }

    #[test]
    fn what_is_no_rate_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "is not a rate"),
            ("5", "is not a rate"),
            ("/minute", "is not a rate"),
            ("five/minute", "is not a rate"),
            ("-5/minute", "is not a rate"),
            ("5/", "is not a window"),
            ("5/minut", "`minut` is not a window"),
            ("5/minute leaky_bucket", "is not a window"),
            ("5/minute token_bucket 20", "is not a rate"),
            ("5/minute token_bucket burst", "is not a rate"),
            ("5/minute token_bucket burst 20 30", "is not a rate"),
            ("5/minute token_bucket burst 0", "a burst is a whole number from 1"),
            ("5/minute token_bucket burst 99999999999", "a burst is a whole number from 1"),
            ("5/minute fixed_window burst 20", "for the algorithm \"token_bucket\""),
            ("2147483647/365d token_bucket", "cannot count this exactly"),
            ("0/minute", "a limit is a whole number from 1"),
            ("5/0s", "a window is from 1 millisecond"),
            ("5/366d", "a window is from 1 millisecond"),
        ] {
            let error = text.parse::<Quota>().expect_err(text).to_string();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }
}
