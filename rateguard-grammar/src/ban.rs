//! `"10/hour for 15m up to 1d"`: who is denied so often is refused everything for a while.

use std::{error::Error, fmt, str::FromStr, time::Duration};

use crate::shown::shown;

use crate::{Algorithm, Quota, RateError, parse_window, window::write_window};

/// When somebody who does not heed denials is banned, and for how long.
///
/// Who is denied as often as this says is banned: until the ban is over, every request is denied at once, and none of
/// them counts. Each ban is twice as long as the one before, up to the longest. A ban is remembered for twice the longest
/// ban, from its beginning.
///
/// Where only some answers make a request count, such as failed logins, those answers are what leads to a ban, instead of
/// denials: a request may be denied for the places of others that are being handled and will not count.
///
/// ```
/// # use rateguard_grammar::Ban;
/// let ban: Ban = "10/hour for 15m up to 1d".parse()?;
/// assert_eq!(ban.lengths().take(3).map(|it| it.as_secs() / 60).collect::<Vec<_>>(), [15, 30, 60]);
/// assert_eq!(ban.to_string(), "10/hour for 15 minutes up to 1 day");
/// # Ok::<(), rateguard_grammar::BanError>(())
/// ```
///
/// The idea is that of fail2ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ban {
    offences: Quota,
    first: Duration,
    longest: Duration,
}

impl Ban {
    const SHORTEST: Duration = Duration::from_secs(1);
    /// The longest that a ban may last: 90 days.
    pub const LONGEST: Duration = Duration::from_secs(90 * 86_400);
    const MAX_DENIALS: u32 = 10_000;

    /// A ban that begins with the last of so many denials, each as long as the first.
    ///
    /// # Errors
    ///
    /// [`BanError`] unless it is from 1 second to 90 days long, in whole seconds, after 1 to 10,000 denials that are
    /// counted in the exact window.
    pub fn new(denials: Quota, first: Duration) -> Result<Self, BanError> {
        let is_counted = denials.algorithm() == Algorithm::SlidingWindow;
        if !is_counted || denials.limit() > Self::MAX_DENIALS {
            return Err(BanError::Denials { quota: denials });
        }
        Self::check(first, Self::SHORTEST)?;
        Ok(Self { offences: denials, first, longest: first })
    }

    fn check(length: Duration, shortest: Duration) -> Result<(), BanError> {
        let is_legal = (shortest..=Self::LONGEST).contains(&length) && length.subsec_nanos() == 0;
        if is_legal { Ok(()) } else { Err(BanError::Length) }
    }

    /// How long a ban is at the most, when each is twice as long as the one before.
    ///
    /// # Errors
    ///
    /// [`BanError`] if it is shorter than the first, longer than 90 days, or not in whole seconds.
    pub fn up_to(mut self, longest: Duration) -> Result<Self, BanError> {
        Self::check(longest, self.first)?;
        self.longest = longest;
        Ok(self)
    }

    /// How many denials, or answers that count, in which window lead to a ban.
    #[must_use]
    pub fn offences(&self) -> Quota {
        self.offences
    }

    /// How long the first ban is, the second, and so on.
    pub fn lengths(&self) -> impl Iterator<Item = Duration> + use<> {
        let longest = self.longest;
        std::iter::successors(Some(self.first), move |length| {
            Some(length.saturating_mul(2).min(longest))
        })
    }

    /// For how long a ban is remembered, from its beginning. `None` if all are of one length, so that none has to be.
    #[must_use]
    pub fn memory(&self) -> Option<Duration> {
        (self.longest > self.first).then_some(2 * self.longest)
    }
}

impl FromStr for Ban {
    type Err = BanError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (denials, lengths) =
            text.split_once(" for ").ok_or_else(|| BanError::Notation { text: shown(text) })?;
        let (first, longest) = match lengths.split_once(" up to ") {
            Some((first, longest)) => (first, Some(longest)),
            None => (lengths, None),
        };
        let length =
            |text| parse_window(text).map_err(|error| BanError::Rate(RateError::Window(error)));
        let ban = Self::new(denials.parse().map_err(BanError::Rate)?, length(first)?)?;
        longest.map_or(Ok(ban), |longest| ban.up_to(length(longest)?))
    }
}

impl TryFrom<&str> for Ban {
    type Error = BanError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Ban {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {}", self.offences, Length(self.first))?;
        if self.longest != self.first {
            write!(f, " up to {}", Length(self.longest))?;
        }
        Ok(())
    }
}

/// A length of time with its number, also if it is 1.
struct Length(Duration);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        write_window(self.0, &mut text)?;
        let one = if text.starts_with(|first: char| first.is_ascii_digit()) { "" } else { "1 " };
        write!(f, "{one}{text}")
    }
}

/// Why a ban cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BanError {
    /// It is not a number of denials and a length.
    Notation {
        /// What was written.
        text: String,
    },
    /// Its denials are no rate, or its length is no length of time.
    Rate(RateError),
    /// Its denials are not from 1 to 10,000 in an exact window.
    Denials {
        /// The quota.
        quota: Quota,
    },
    /// It is not from 1 second to 90 days long, not in whole seconds, or the longest is shorter than the first.
    Length,
}

impl fmt::Display for BanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Notation { text } => write!(
                f,
                "`{text}` is not a ban; write how many denials lead to it and how long it is, such as \"10/hour for 15m\" or \"10/hour for 15m up to 1d\""
            ),
            Self::Rate(error) => error.fmt(f),
            Self::Denials { quota } => write!(
                f,
                "{quota} denials cannot be counted; from 1 to {} are, in a sliding window",
                Ban::MAX_DENIALS
            ),
            Self::Length => f.write_str(
                "a ban is from 1 second to 90 days long, in whole seconds, and the longest not shorter than the first",
            ),
        }
    }
}

impl Error for BanError {}

/// So that a [`Ban`] can stand where text that is read as one can.
impl From<std::convert::Infallible> for BanError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ban_is_written_as_it_is_read_and_grows_up_to_the_longest() {
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
    fn what_is_no_ban_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "is not a ban"),
            ("10/hour", "is not a ban"),
            ("ten for 5m", "is not a rate"),
            ("10/hour for", "is not a ban"),
            ("10/hour for x", "is not a window"),
            ("10/hour for 5m up to", "is not a window"),
            ("10/hour for 5m up to 1m", "not shorter than the first"),
            ("10/hour for 500ms", "from 1 second to 90 days"),
            ("10/hour for 1500ms", "in whole seconds"),
            ("10/hour for 2s up to 2500ms", "in whole seconds"),
            ("10/hour for 91d", "from 1 second to 90 days"),
            ("10001/hour for 5m", "cannot be counted"),
            ("10/hour token_bucket for 5m", "cannot be counted"),
        ] {
            let error = text.parse::<Ban>().expect_err(text).to_string();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }
}
