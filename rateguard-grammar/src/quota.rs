//! How much of what is allowed: a limit and a window.

use std::{convert::Infallible, error::Error, fmt, str::FromStr, time::Duration};

use crate::window::{WindowError, parse_window, write_window};

/// At most `limit` requests in any window of length `window`.
///
/// It is read from `"5/minute"`, `"100/10s"` or `"20 per 5 minutes"`, and written the same way.
///
/// ```
/// # use rateguard_grammar::Quota;
/// # use std::time::Duration;
/// let quota: Quota = "5/minute".parse()?;
/// assert_eq!(quota, Quota::new(5, Duration::from_secs(60))?);
/// assert_eq!("20 per 5 minutes".parse::<Quota>()?.to_string(), "20/5 minutes");
/// # Ok::<(), rateguard_grammar::RateError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quota {
    limit: u32,
    window: Duration,
}

impl Quota {
    /// The highest limit: 2^31 requests.
    pub const MAX_LIMIT: u32 = 1 << 31;
    /// The shortest window: a millisecond.
    pub const MIN_WINDOW: Duration = Duration::from_millis(1);
    /// The longest window: a year of 365 days.
    pub const MAX_WINDOW: Duration = Duration::from_secs(365 * 86_400);

    /// At most `limit` requests in any `window`, which is rounded up to whole microseconds.
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
        Ok(Self { limit, window: Duration::from_micros(nanos.div_ceil(1_000) as u64) })
    }

    /// How many requests are admitted in a window.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// How long the window is, in whole microseconds.
    #[must_use]
    pub const fn window(&self) -> Duration {
        self.window
    }
}

impl FromStr for Quota {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || RateError::Notation { text: text.to_owned() };
        let (limit, window) =
            text.split_once('/').or_else(|| text.split_once(" per ")).ok_or_else(refuse)?;
        let limit = limit.trim();
        if limit.is_empty() || !limit.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(refuse());
        }
        // Digits that do not fit are a number above the highest limit.
        let limit = limit.parse().map_err(|_| QuotaError::Limit)?;
        Ok(Self::new(limit, parse_window(window).map_err(RateError::Window)?)?)
    }
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
        write_window(self.window, f)
    }
}

/// A limit or a window that is out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuotaError {
    /// A limit is a whole number from 1 to 2147483648.
    Limit,
    /// A window is from 1 millisecond to 365 days long.
    Window,
}

impl fmt::Display for QuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit => write!(f, "a limit is a whole number from 1 to {}", Quota::MAX_LIMIT),
            Self::Window => f.write_str("a window is from 1 millisecond to 365 days long"),
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
            ("0/minute", "a limit is a whole number from 1"),
            ("5/0s", "a window is from 1 millisecond"),
            ("5/366d", "a window is from 1 millisecond"),
        ] {
            let error = text.parse::<Quota>().expect_err(text).to_string();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }
}
