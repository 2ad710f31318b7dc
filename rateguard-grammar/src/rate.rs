//! Parses and writes the notation of a quota, such as `"5/minute"` and `"100/second token_bucket burst 20"`.

use std::{convert::Infallible, error::Error, fmt, str::FromStr};

use crate::{
    Algorithm, AlgorithmError, CalendarError, LeaseSize, Quota, QuotaError, QuotaLease,
    calendar::split_at_calendar,
    escape::escape_for_display,
    window::{WindowError, is_unit, parse_window, write_window},
};

/// The maximum number of quotas in one policy.
pub(crate) const MAX_QUOTAS: usize = 8;

impl FromStr for Quota {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || RateError::Notation { text: escape_for_display(text) };
        if let Some((limit, lease)) = split_at_concurrent(text) {
            let limit = number(limit).ok_or_else(invalid)??;
            let lease = match lease.trim() {
                "" => Self::DEFAULT_LEASE,
                lease => {
                    let lease = lease.strip_prefix("lease ").ok_or_else(invalid)?;
                    parse_window(lease).map_err(RateError::Window)?
                }
            };
            return Ok(Self::concurrent(limit, lease)?);
        }
        if let Some((rate, lease)) = text.split_once(" lease ") {
            let quota: Self = rate.parse()?;
            let (size, duration) = match lease.split_once(" for ") {
                Some((size, duration)) => {
                    (size, parse_window(duration).map_err(RateError::Window)?)
                }
                None => (lease, QuotaLease::default_duration(quota.window())),
            };
            let size = match number(size) {
                Some(units) => LeaseSize::Units(units.map_err(|_| QuotaError::LeaseUnits)?),
                None => size.parse().map_err(|_| invalid())?,
            };
            return Ok(quota.with_lease(size.units(quota.capacity()), duration)?);
        }
        if let Some((limit, period)) = split_at_calendar(text) {
            let limit = number(limit).ok_or_else(invalid)??;
            return Ok(Self::calendar(limit, period.parse().map_err(RateError::Calendar)?)?);
        }
        let (rate, algorithm) = split_at_algorithm(text);
        let (limit, window) =
            rate.split_once('/').or_else(|| rate.split_once(" per ")).ok_or_else(invalid)?;
        let limit = number(limit).ok_or_else(invalid)??;
        let window = parse_window(window)
            .map_err(|error| unknown_algorithm(window).unwrap_or(RateError::Window(error)))?;
        let quota = Self::new(limit, window)?;

        let mut words = algorithm.split_whitespace();
        let Some(name) = words.next() else { return Ok(quota) };
        let quota = quota.with_algorithm(name.parse().map_err(|_| invalid())?)?;
        match (words.next(), words.next(), words.next()) {
            (None, ..) => Ok(quota),
            (Some("burst"), Some(burst), None) => {
                let burst = number(burst).ok_or_else(invalid)?.map_err(|_| QuotaError::Burst)?;
                Ok(quota.with_burst(burst)?)
            }
            _ => Err(invalid()),
        }
    }
}

/// If the text is a limit on requests in progress, such as `5 concurrent lease 30s`, returns the limit and the text
/// after the word `concurrent`.
fn split_at_concurrent(text: &str) -> Option<(&str, &str)> {
    let (limit, rest) = text.split_once("concurrent")?;
    let is_word = limit.ends_with(' ') && (rest.is_empty() || rest.starts_with(' '));
    is_word.then_some((limit, rest))
}

/// Splits a text into the rate and the rest, which starts with the name of an algorithm. The rest is empty if the
/// text names no algorithm.
fn split_at_algorithm(text: &str) -> (&str, &str) {
    let offset =
        Algorithm::NAMES.iter().filter_map(|(_, name)| text.find(&format!(" {name}"))).min();
    offset.map_or((text, ""), |offset| text.split_at(offset))
}

/// If words follow the window in a text, returns an error, because the first of these words is not the name of an
/// algorithm.
fn unknown_algorithm(text: &str) -> Option<RateError> {
    let words = text.trim_start().trim_start_matches(|it: char| it.is_ascii_digit());
    let (unit, rest) = words.trim_start().split_once(char::is_whitespace)?;
    let name = rest.split_whitespace().next().filter(|_| is_unit(unit))?;
    if name == "burst" {
        return Some(QuotaError::BurstAlgorithm.into());
    }
    name.parse::<Algorithm>().err().map(RateError::Algorithm)
}

/// Parses a whole number. Returns `None` if the text contains anything but digits. If the number does not fit into 32
/// bits, the result is the error for a limit that is too high.
fn number(text: &str) -> Option<Result<u32, QuotaError>> {
    let text = text.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().map_err(|_| QuotaError::Limit))
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.algorithm().has_permits() {
            write!(f, "{} concurrent", self.limit())?;
            if self.window() != Self::DEFAULT_LEASE {
                f.write_str(" lease ")?;
                write_window(self.window(), f)?;
            }
            return Ok(());
        }
        if let Some(period) = self.calendar_period() {
            return write!(f, "{}/{period}", self.limit());
        }
        write!(f, "{}/", self.limit())?;
        write_window(self.window(), f)?;
        if self.algorithm() != Algorithm::default() {
            write!(f, " {}", self.algorithm())?;
        }
        if self.capacity() != self.limit() {
            write!(f, " burst {}", self.capacity())?;
        }
        if let Some(lease) = self.lease() {
            write!(f, " lease {}", lease.units())?;
            if lease.duration() != QuotaLease::default_duration(self.window()) {
                f.write_str(" for ")?;
                write_window(lease.duration(), f)?;
            }
        }
        Ok(())
    }
}

/// The error for a text that is not a quota or a list of quotas.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RateError {
    /// The text does not consist of a limit, a slash and a window.
    Notation {
        /// The invalid text.
        text: String,
    },
    /// The text of the window is not a duration.
    Window(WindowError),
    /// The text after the limit is not a calendar period.
    Calendar(CalendarError),
    /// The word after the window is not the name of an algorithm.
    Algorithm(AlgorithmError),
    /// Two quotas are not separated by a semicolon.
    Separator {
        /// The invalid text.
        text: String,
    },
    /// The limit, the window or the burst is out of range.
    Quota(QuotaError),
    /// A quota in a list is invalid.
    Listed {
        /// The position of the invalid quota in the list. The first position is 1.
        position: usize,
        /// The text of the invalid quota.
        text: String,
        /// The reason why the quota is invalid.
        error: Box<RateError>,
    },
    /// The list is empty or has more than 8 quotas.
    Number,
    /// The list contains two quotas that limit the requests in progress.
    SeveralConcurrent,
    /// A list has several quotas, and one of them has a lease.
    LeaseOfSeveral,
    /// The list contains two equal quotas.
    Twice {
        /// The quota that the list contains twice.
        quota: Quota,
    },
}

impl fmt::Display for RateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Notation { text } => write!(
                f,
                "expected a rate such as \"5/minute\", \"100/10s\" or \"20 per 5 minutes\", found `{text}`"
            ),
            Self::Window(error) => error.fmt(f),
            Self::Calendar(error) => error.fmt(f),
            Self::Algorithm(error) => error.fmt(f),
            Self::Separator { text } => write!(
                f,
                "expected `;` between two rates, as in \"5/second; 100/minute\", found `{text}`"
            ),
            Self::Quota(error) => error.fmt(f),
            Self::Listed { position, text, error } => {
                write!(f, "quota {position}, `{text}`: {error}")
            }
            Self::Number => write!(f, "expected 1 to {} quotas", MAX_QUOTAS),
            Self::SeveralConcurrent => f.write_str(
                "expected at most one quota for requests in progress, found several; remove all but the lowest",
            ),
            Self::LeaseOfSeveral => f.write_str(
                "a lease requires a single quota; remove the lease or the other quotas",
            ),
            Self::Twice { quota } => write!(f, "duplicate quota `{quota}`"),
        }
    }
}

crate::debug_as_display::debug_as_display!(RateError);

impl Error for RateError {}

impl From<QuotaError> for RateError {
    fn from(error: QuotaError) -> Self {
        Self::Quota(error)
    }
}

/// Lets a function parameter accept [`Quotas`](crate::Quotas), a [`Quota`](crate::Quota) and a text. A conversion
/// that never fails has the error `Infallible`, so `Infallible` must convert to this error.
impl From<Infallible> for RateError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The reason why each calendar period is rejected, if the feature `calendar` is disabled.
    const REQUIRES_FEATURE: Option<&str> =
        if cfg!(feature = "calendar") { None } else { Some("requires the feature `calendar`") };

    #[cfg(feature = "calendar")]
    #[test]
    fn calendar_quota_is_parsed_in_every_spelling() {
        let berlin = "1000/calendar day Europe/Berlin";
        for (text, written) in [
            (berlin, berlin),
            (" 1000 per calendar  day Europe/Berlin ", berlin),
            ("1000 / calendar day Europe/Berlin", berlin),
            ("7/calendar month UTC", "7/calendar month"),
        ] {
            assert_eq!(quota(text).to_string(), written);
            assert_eq!(quota(text).algorithm(), Algorithm::Calendar);
        }
        assert_eq!(quota(berlin).with_algorithm(Algorithm::FixedWindow), Err(QuotaError::Calendar));
        assert_eq!(quota("5/day").with_algorithm(Algorithm::Calendar), Err(QuotaError::Calendar));
    }

    fn quota(text: &str) -> Quota {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn equal_quotas_have_several_spellings() {
        for text in ["5/minute", "5/m", "5 / 60s", " 5 per minute ", "5 per 60 seconds", "5/1min"] {
            assert_eq!(quota(text), Quota::new(5, Duration::from_secs(60)).unwrap(), "{text}");
        }
    }

    #[test]
    fn notation_of_a_quota_round_trips() {
        for text in [
            "5/minute",
            "100/10 seconds",
            "1/day",
            "1000/week",
            "5/2 weeks",
            "2147483648/365 days",
            "7/1500 microseconds",
            "5 concurrent",
            "1 concurrent lease minute",
            "7 concurrent lease 1500 milliseconds",
            "1000/minute lease 50",
            "1000/second lease 50",
            "1000/minute lease 50 for 250 milliseconds",
            "1000/minute token_bucket lease 50",
            "100/minute token_bucket burst 50 lease 25 for 250 milliseconds",
        ] {
            assert_eq!(quota(text).to_string(), text);
        }
    }

    #[test]
    fn invalid_rates_are_rejected_with_the_reason() {
        for (text, reason) in [
            ("", "expected a rate such as"),
            ("5", "expected a rate such as"),
            ("/minute", "expected a rate such as"),
            ("five/minute", "expected a rate such as"),
            ("-5/minute", "expected a rate such as"),
            ("5/", "expected a window such as"),
            ("5/minut", "unknown unit of time `minut`; did you mean `minute`?"),
            ("5/60", "expected a window such as"),
            ("5/minute adaptive", "unknown algorithm `adaptive`"),
            ("5/10s token_buckt burst 20", "did you mean `token_bucket`?"),
            ("5/minute burst 20", "requires the algorithm \"token_bucket\""),
            ("5/minute token_bucket 20", "expected a rate such as"),
            ("5/minute token_bucket burst", "expected a rate such as"),
            ("5/minute token_bucket burst 20 30", "expected a rate such as"),
            ("5/minute token_bucket burst 0", "expected a burst from 1 to 2147483648"),
            ("5/minute token_bucket burst 99999999999", "expected a burst from 1 to 2147483648"),
            ("5/minute fixed_window burst 20", "requires the algorithm \"token_bucket\""),
            ("2147483647/365d token_bucket", "cannot count this quota exactly"),
            ("0/minute", "expected a limit that is a whole number from 1"),
            ("5/0s", "expected a window from 1 millisecond"),
            ("5/366d", "expected a window from 1 millisecond"),
            ("99999999999999999999/s", "expected a limit that is a whole number from 1"),
            ("0 concurrent", "expected a limit that is a whole number from 1"),
            ("100/minute lease", "unknown algorithm `lease`"),
            ("100/minute lease x", "expected a rate such as"),
            ("100/minute lease 1", "expected a lease from 2 to 1000 units"),
            ("100/minute lease 51", "at most half of the limit"),
            ("100/minute lease 10 for 11s", "at most a quarter of the window"),
            ("100/minute lease 10 for soon", "unknown unit of time `soon`"),
            ("100/100ms lease 10", "at most a quarter of the window"),
            ("100/minute fixed_window lease 10", "requires the algorithm \"sliding_window\" or"),
            ("100/minute token_bucket burst 50 lease 26", "or of the burst of a token bucket"),
            ("5 concurrent lease 999ms", "expected a lease from 1 second to 1 day"),
            ("5 concurrent lease 2d", "expected a lease from 1 second to 1 day"),
            ("5 concurrent lease 10", "expected a window such as"),
            ("5 concurrent 10s", "expected a rate such as"),
            ("5 concurrently", "expected a rate such as"),
            ("five concurrent", "expected a rate such as"),
            ("5/2 calendar days", "expected a window such as"),
            ("five/calendar day", "expected a rate such as"),
            (
                "0/calendar day",
                REQUIRES_FEATURE.unwrap_or("expected a limit that is a whole number"),
            ),
            ("5/calendar day x y", "expected a calendar period such as"),
            ("5/calendar dya", REQUIRES_FEATURE.unwrap_or("did you mean `day`?")),
            ("5/calendar day lease 2", REQUIRES_FEATURE.unwrap_or("requires the algorithm")),
        ] {
            let error = text.parse::<Quota>().expect_err(text).to_string();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }
}
