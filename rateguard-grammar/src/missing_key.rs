//! Defines the treatment of requests without a key.

use std::{error::Error, fmt, str::FromStr};

use crate::escape::escape_for_display;

/// The treatment of requests without a key. A request has no key if it lacks the header, cookie, route parameter,
/// user or session value from which a part of the key is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MissingKey {
    /// `"ip"`: the request is counted by the client's address, separately from requests with a key. This variant is the
    /// default for two reasons. A client cannot avoid the limit by omitting the value, and unrelated clients do not
    /// share one count.
    #[default]
    Ip,
    /// `"deny"`: the request is rejected with 403. Use this variant for routes that require the key.
    Deny,
    /// `"skip"`: the limit does not apply to the request. Use this variant only if another limit applies or no
    /// limit is required.
    Skip,
}

impl MissingKey {
    /// A list of the valid forms, for error messages.
    pub const FORMS: &str =
        r#""ip" (count by address), "deny" (respond with 403) or "skip" (do not limit)"#;
}

impl FromStr for MissingKey {
    type Err = MissingKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "ip" => Ok(Self::Ip),
            "deny" => Ok(Self::Deny),
            "skip" => Ok(Self::Skip),
            _ => Err(MissingKeyError { text: escape_for_display(text) }),
        }
    }
}

impl TryFrom<&str> for MissingKey {
    type Error = MissingKeyError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// The error for a text that is not `ip`, `deny` or `skip`.
#[derive(Clone, PartialEq, Eq)]
pub struct MissingKeyError {
    text: String,
}

impl fmt::Display for MissingKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, found `{}`", MissingKey::FORMS, self.text)
    }
}

crate::debug_as_display::debug_as_display!(MissingKeyError);

impl Error for MissingKeyError {}
