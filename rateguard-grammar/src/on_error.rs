//! Defines the failure mode, which is the treatment of a request when the store does not reply.

use std::{error::Error, fmt, str::FromStr};

use crate::escape::escape_for_display;

/// The failure mode: the treatment of a request when the store does not reply in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnError {
    /// Fail open: the request is admitted, and the response has no rate limit headers. This mode is the default,
    /// because a failure of the limiter must not make the application unavailable.
    #[default]
    Open,
    /// Fail closed: the request is rejected with 503. Use this mode for routes that must never be unlimited, such
    /// as a login.
    Closed,
    /// Decide in memory: this process counts the requests that it receives, and enforces its share of the limit. The
    /// share is the limit divided by the number of processes (`RateGuardBuilder::replicas`). Use this mode for routes
    /// that should stay available and limited.
    Local,
}

impl OnError {
    /// A list of the valid forms, for error messages.
    pub const FORMS: &str =
        r#""open" (admit), "closed" (respond with 503) or "local" (decide in memory)"#;
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

impl TryFrom<&str> for OnError {
    type Error = OnErrorError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// The error for a text that is not `open`, `closed` or `local`.
#[derive(Clone, PartialEq, Eq)]
pub struct OnErrorError {
    text: String,
}

impl fmt::Display for OnErrorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, found `{}`", OnError::FORMS, self.text)
    }
}

crate::debug_as_display::debug_as_display!(OnErrorError);

impl Error for OnErrorError {}
