//! Defines escalating bans, such as `"10/hour for 15m up to 1d"`.

use std::{error::Error, fmt, str::FromStr, time::Duration};

use crate::{
    Algorithm, Quota, RateError, escape::escape_for_display, parse_window, window::write_window,
};

/// An escalating ban of clients that continue to send requests after denials.
///
/// A ban starts when the number of denials of one key in a window reaches a threshold. During a ban, the guard denies
/// all requests of this key and counts none of them. Each ban is twice as long as the previous ban, up to a maximum
/// duration. The guard remembers a ban for twice the maximum duration, counted from the start of the ban. After this
/// time, the ban does not make later bans longer.
///
/// If a limit counts only some responses ([`Count`](crate::Count)), such as failed logins, a ban starts after too many
/// of these responses, not after too many denials. It would be unfair to count denials here: a denial can be caused by
/// requests that are still running, and the limiter can refund the units of these requests later.
///
/// ```
/// # use actix_rateguard_grammar::Ban;
/// let ban: Ban = "10/hour for 15m up to 1d".parse()?;
/// assert_eq!(ban.lengths().take(3).map(|it| it.as_secs() / 60).collect::<Vec<_>>(), [15, 30, 60]);
/// assert_eq!(ban.to_string(), "10/hour for 15 minutes up to 1 day");
/// # Ok::<(), actix_rateguard_grammar::BanSpecError>(())
/// ```
///
/// The option `bantime.increment` of the tool fail2ban also makes each ban of a client longer than the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ban {
    offences: Quota,
    first: Duration,
    max: Duration,
}

impl Ban {
    const MIN_LENGTH: Duration = Duration::from_secs(1);
    /// The maximum duration of a ban: 90 days.
    pub const MAX_LENGTH: Duration = Duration::from_secs(90 * 86_400);
    const MAX_DENIALS: u32 = 10_000;

    /// Creates a ban that always has the duration `first`. A ban starts when the number of denials in the window of
    /// `denials` reaches the limit of `denials`.
    ///
    /// # Errors
    ///
    /// [`BanSpecError`] if one of these conditions is not met:
    ///
    /// - `first` is a whole number of seconds, from 1 second to 90 days.
    /// - `denials` has a limit from 1 to 10,000, and the algorithm [`Algorithm::SlidingWindow`].
    pub fn new(denials: Quota, first: Duration) -> Result<Self, BanSpecError> {
        let is_exact = denials.algorithm() == Algorithm::SlidingWindow;
        if !is_exact || denials.limit() > Self::MAX_DENIALS {
            return Err(BanSpecError::Denials { quota: denials });
        }
        Self::validate_length(first, Self::MIN_LENGTH)?;
        Ok(Self { offences: denials, first, max: first })
    }

    fn validate_length(length: Duration, min: Duration) -> Result<(), BanSpecError> {
        let is_valid = (min..=Self::MAX_LENGTH).contains(&length) && length.subsec_nanos() == 0;
        if is_valid { Ok(()) } else { Err(BanSpecError::Length) }
    }

    /// Sets the maximum duration of a ban. Each ban is then twice as long as the previous ban, up to `max`.
    ///
    /// # Errors
    ///
    /// [`BanSpecError`] if `max` is shorter than the first ban, longer than 90 days, or not a whole number of seconds.
    pub fn up_to(mut self, max: Duration) -> Result<Self, BanSpecError> {
        Self::validate_length(max, self.first)?;
        self.max = max;
        Ok(self)
    }

    /// Returns the quota whose limit is the number of offences that starts a ban. An offence is a denial. If a limit
    /// counts only some responses ([`Count`](crate::Count)), an offence is one of these responses instead.
    #[must_use]
    pub fn offences(&self) -> Quota {
        self.offences
    }

    /// Returns the durations of the first ban, the second ban, and so on. The iterator never ends.
    pub fn lengths(&self) -> impl Iterator<Item = Duration> + use<> {
        let max = self.max;
        std::iter::successors(Some(self.first), move |length| {
            Some(length.saturating_mul(2).min(max))
        })
    }

    /// Returns the time for which the guard remembers a ban, from the start of the ban. The result is `None` if all
    /// bans have the same duration, because the guard then does not need to remember earlier bans.
    #[must_use]
    pub fn memory(&self) -> Option<Duration> {
        (self.max > self.first).then_some(2 * self.max)
    }
}

impl FromStr for Ban {
    type Err = BanSpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (denials, lengths) = text
            .split_once(" for ")
            .ok_or_else(|| BanSpecError::Notation { text: escape_for_display(text) })?;
        let (first, max) = match lengths.split_once(" up to ") {
            Some((first, max)) => (first, Some(max)),
            None => (lengths, None),
        };
        let length =
            |text| parse_window(text).map_err(|error| BanSpecError::Rate(RateError::Window(error)));
        let ban = Self::new(denials.parse().map_err(BanSpecError::Rate)?, length(first)?)?;
        max.map_or(Ok(ban), |max| ban.up_to(length(max)?))
    }
}

impl TryFrom<&str> for Ban {
    type Error = BanSpecError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Ban {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {}", self.offences, Length(self.first))?;
        if self.max != self.first {
            write!(f, " up to {}", Length(self.max))?;
        }
        Ok(())
    }
}

/// Writes a duration with its number, even if the number is 1, because "for 1 day" is clearer than "for day".
struct Length(Duration);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        write_window(self.0, &mut text)?;
        let one = if text.starts_with(|first: char| first.is_ascii_digit()) { "" } else { "1 " };
        write!(f, "{one}{text}")
    }
}

/// The reason why a ban is invalid.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BanSpecError {
    /// The text does not consist of a rate of denials, the word `for` and a duration.
    Notation {
        /// The invalid text.
        text: String,
    },
    /// The text before `for` is not a rate, or the text after `for` is not a duration.
    Rate(RateError),
    /// The number of denials is not from 1 to 10,000, or the algorithm is not [`Algorithm::SlidingWindow`].
    Denials {
        /// The quota that was given for the denials.
        quota: Quota,
    },
    /// The duration of a ban is not a whole number of seconds from 1 second to 90 days, or the maximum is shorter than
    /// the first ban.
    Length,
}

impl fmt::Display for BanSpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Notation { text } => write!(
                f,
                "expected a ban such as \"10/hour for 15m\" or \"10/hour for 15m up to 1d\", found `{text}`"
            ),
            Self::Rate(error) => error.fmt(f),
            Self::Denials { quota } => write!(
                f,
                "expected 1 to {} denials with algorithm \"sliding_window\", found `{quota}`",
                Ban::MAX_DENIALS
            ),
            Self::Length => f.write_str(
                "expected a ban of 1 second to 90 days, in whole seconds, with a maximum not shorter than the first ban",
            ),
        }
    }
}

crate::debug_as_display::debug_as_display!(BanSpecError);

impl Error for BanSpecError {}

/// Lets a function parameter accept both a [`Ban`] and a text. The conversion of a `Ban` to itself has the error
/// `Infallible`, so `Infallible` must convert to this error.
impl From<std::convert::Infallible> for BanSpecError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notation_round_trips_and_lengths_double_up_to_the_maximum() {
        for text in ["10/hour for 15 minutes", "1/minute for 1 second up to 90 days"] {
            assert_eq!(text.parse::<Ban>().unwrap().to_string(), text);
        }
        let ban: Ban = "3/m for 10s up to 60s".parse().unwrap();
        let lengths: Vec<_> = ban.lengths().take(5).map(|it| it.as_secs()).collect();
        assert_eq!(lengths, [10, 20, 40, 60, 60]);
        assert_eq!(ban.memory(), Some(Duration::from_secs(120)));
        let constant: Ban = "3/m for 5d".parse().unwrap();
        assert_eq!(constant.lengths().nth(9), Some(Duration::from_secs(5 * 86_400)));
        assert_eq!(constant.memory(), None);
    }

    #[test]
    fn invalid_bans_are_rejected_with_the_reason() {
        for (text, reason) in [
            ("", "expected a ban such as"),
            ("10/hour", "expected a ban such as"),
            ("ten for 5m", "expected a rate such as"),
            ("10/hour for", "expected a ban such as"),
            ("10/hour for x", "unknown unit of time `x`; expected"),
            ("10/hour for 15 minuts", "did you mean `minute`?"),
            ("10/hour for 5m up to", "expected a window such as"),
            ("10/hour for 5m up to 1m", "not shorter than the first"),
            ("10/hour for 500ms", "1 second to 90 days"),
            ("10/hour for 1500ms", "in whole seconds"),
            ("10/hour for 2s up to 2500ms", "in whole seconds"),
            ("10/hour for 91d", "1 second to 90 days"),
            ("10001/hour for 5m", "expected 1 to 10000 denials"),
            ("10/hour token_bucket for 5m", "expected 1 to 10000 denials"),
        ] {
            let error = text.parse::<Ban>().expect_err(text).to_string();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }
}
