//! The failure mode for requests that the store does not decide.

use std::{error::Error, fmt, str::FromStr};

use crate::escape::escape_for_display;

/// The failure mode: the treatment of a request when the store does not reply in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnError {
    /// Fail open: the request is admitted, and the response has no rate limit headers. The default, because a failure
    /// of the limiter must not make the application unavailable.
    #[default]
    Open,
    /// Fail closed: the request is rejected with 503. For routes that must never be unlimited, such as a login.
    Closed,
    /// Decide in the memory of this process, from the requests that it has recently counted, with its share of the
    /// limit (`RateGuardBuilder::replicas`). For routes that should neither be unavailable nor unlimited.
    Local,
}

impl FromStr for OnError {
    type Err = OnErrorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "open" => Ok(Self::Open),
            "closed" => Ok(Self::Closed),
            "local" => Ok(Self::Local),
            _ => Err(OnErrorError { text: escape_for_display(text) }),
        }
    }
}

/// A text that is not `open`, `closed` or `local`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnErrorError {
    text: String,
}

impl fmt::Display for OnErrorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "expected \"open\" (admit), \"closed\" (respond with 503) or \"local\" (decide in memory), found `{}`",
            self.text
        )
    }
}

impl Error for OnErrorError {}
