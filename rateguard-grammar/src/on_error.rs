//! What happens to a request when the store does not answer.

use std::{error::Error, fmt, str::FromStr};

use crate::shown::shown;

/// What happens to a request when the store does not answer in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnError {
    /// Fail open: the request passes, without numbers. The default, because a limiter should not be the reason why
    /// an application is away.
    #[default]
    Open,
    /// Fail closed: the request is refused with 503. For what must never run unlimited, such as a login.
    Closed,
    /// Decide in this process's memory, by what it has seen of late, with its share of the limits
    /// (`RateGuardBuilder::replicas`). For what should neither stop nor run unlimited.
    Local,
}

impl FromStr for OnError {
    type Err = OnErrorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "open" => Ok(Self::Open),
            "closed" => Ok(Self::Closed),
            "local" => Ok(Self::Local),
            _ => Err(OnErrorError { text: shown(text) }),
        }
    }
}

/// A word that is none of `open`, `closed` and `local`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnErrorError {
    text: String,
}

impl fmt::Display for OnErrorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not legal here; legal are \"open\" (let pass), \"closed\" (answer 503) and \"local\" (decide in memory)",
            self.text
        )
    }
}

impl Error for OnErrorError {}
