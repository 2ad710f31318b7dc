//! `"5/minute"`, `"100/second token_bucket burst 20"`: a quota in words.

use std::{convert::Infallible, error::Error, fmt, str::FromStr};

use crate::shown::shown;

use crate::{
    Algorithm, Quota, QuotaError, Quotas,
    window::{WindowError, parse_window, write_window},
};

impl FromStr for Quota {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || RateError::Notation { text: shown(text) };
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

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.limit())?;
        write_window(self.window(), f)?;
        if self.algorithm() != Algorithm::default() {
            write!(f, " {}", self.algorithm())?;
        }
        if self.capacity() != self.limit() {
            write!(f, " burst {}", self.capacity())?;
        }
        Ok(())
    }
}

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
    /// A quota of a list is wrong.
    Listed {
        /// Which one, from 1 on.
        place: usize,
        /// What was written there.
        text: String,
        /// What is wrong with it.
        error: Box<RateError>,
    },
    /// A list has from 1 to 8 quotas.
    Number,
    /// A quota is there twice in a list.
    Twice {
        /// The quota.
        quota: Quota,
    },
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
            Self::Listed { place, text, error } => write!(f, "quota {place}, `{text}`: {error}"),
            Self::Number => write!(f, "a list has from 1 to {} quotas", Quotas::MAX),
            Self::Twice { quota } => write!(f, "the quota {quota} is there twice"),
        }
    }
}

impl Error for RateError {}

impl From<QuotaError> for RateError {
    fn from(error: QuotaError) -> Self {
        Self::Quota(error)
    }
}

/// So that [`Quotas`] and a [`Quota`] can stand where text that is read as quotas can.
impl From<Infallible> for RateError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
            ("99999999999999999999/s", "a limit is a whole number from 1"),
        ] {
            let error = text.parse::<Quota>().expect_err(text).to_string();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }
}
