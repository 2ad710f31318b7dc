//! Defines the maximum time that a request waits for room.

use std::{error::Error, fmt, str::FromStr, time::Duration};

use crate::{
    Quotas, escape::escape_for_display, located::FieldError, shadow_fields::ShadowFields,
    window::parse_window,
};

/// The maximum time that a request waits for room in a limit, from 0 to 60 seconds. With 0, no request waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Wait(Duration);

impl Wait {
    /// The longest wait: 60 seconds. Proxies such as nginx stop waiting for a response after this time by default, and
    /// a waiting request occupies a connection.
    pub const MAX: Duration = Duration::from_secs(60);
    /// The error message for a value that is not a wait.
    pub const EXPECTED: &str =
        "expected a wait of at most 60 seconds, such as \"2s\" or \"500ms\", or \"0s\" for no wait";

    /// Returns the maximum time that a request waits.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl TryFrom<Duration> for Wait {
    type Error = WaitError;

    fn try_from(duration: Duration) -> Result<Self, Self::Error> {
        if duration > Self::MAX { Err(WaitError { text: None }) } else { Ok(Self(duration)) }
    }
}

impl FromStr for Wait {
    type Err = WaitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let duration = parse_window(text).ok().filter(|duration| *duration <= Self::MAX);
        duration.map(Self).ok_or_else(|| WaitError { text: Some(escape_for_display(text)) })
    }
}

impl TryFrom<&str> for Wait {
    type Error = WaitError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// The error for a value that is not a wait, or is longer than 60 seconds.
#[derive(Clone, PartialEq, Eq)]
pub struct WaitError {
    /// The invalid text. `None` if the value was a duration.
    text: Option<String>,
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Wait::EXPECTED)?;
        match &self.text {
            Some(text) => write!(f, ", found `{text}`"),
            None => Ok(()),
        }
    }
}

crate::debug_as_display::debug_as_display!(WaitError);

impl Error for WaitError {}

/// Returns an error if a limit with the field `wait` has a lease. `wait` is the location of the field, if it is present.
/// Leases are for limits with very many requests, of which only a few could wait. A process with a lease also cannot
/// know when the units in the leases of other processes come back.
///
/// # Errors
///
/// [`FieldError`] if the field is present and the quotas or the candidate quotas have a lease.
pub fn check_wait<L: Copy>(
    quotas: Option<&Quotas>,
    wait: Option<L>,
    shadow: &ShadowFields<L>,
) -> Result<(), FieldError<L>> {
    let candidate = shadow.candidate.as_ref().map(|candidate| &candidate.value);
    match wait {
        Some(location) if quotas.into_iter().chain(candidate).any(Quotas::has_lease) => {
            Err(FieldError::at(
                location,
                "`wait` conflicts with a lease, because no server knows when the units of other leases come back; remove one of them",
            ))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_is_at_most_60_seconds() {
        for (text, expected) in [
            ("2s", Some(2_000)),
            ("500ms", Some(500)),
            ("0s", Some(0)),
            ("minute", Some(60_000)),
            ("60001ms", None),
            ("1h", None),
            ("2", None),
            ("-1s", None),
            ("", None),
        ] {
            let expected = expected.map(Duration::from_millis);
            let wait = text.parse::<Wait>();
            assert_eq!(wait.as_ref().ok().map(|wait| wait.duration()), expected, "{text}");
            if let Err(error) = wait {
                assert_eq!(error.to_string(), format!("{}, found `{text}`", Wait::EXPECTED));
            }
        }
        assert!(Wait::try_from(Wait::MAX).is_ok());
        assert!(Wait::try_from(Wait::MAX + Duration::from_micros(1)).is_err());
    }

    #[test]
    fn wait_conflicts_with_a_lease() {
        let quotas = |text: &str| text.parse::<Quotas>().unwrap();
        let (plain, leased) = (quotas("100/minute"), quotas("100/minute lease 10"));
        let shadow = ShadowFields::default();
        assert!(check_wait(Some(&plain), Some(1), &shadow).is_ok());
        assert!(check_wait(Some(&leased), None::<u8>, &ShadowFields::default()).is_ok());
        assert!(check_wait(None, Some(1), &shadow).is_ok());
        let error = check_wait(Some(&leased), Some(1), &shadow).unwrap_err();
        assert_eq!(error.location, Some(1));
        assert!(error.message.contains("conflicts with a lease"), "{}", error.message);
    }
}
