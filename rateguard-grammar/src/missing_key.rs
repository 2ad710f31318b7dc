//! The treatment of requests without a key.

use std::{error::Error, fmt, str::FromStr};

use crate::escape::escape_for_display;

/// The treatment of requests without a key, because they lack the header, cookie, route parameter, user or session
/// value that the key is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MissingKey {
    /// `"ip"`: the request counts by the client's address, separately from requests with a key. The default, because a
    /// missing value then neither avoids the limit nor makes unrelated clients share one bucket.
    #[default]
    Ip,
    /// `"deny"`: the request is rejected with 403. For routes that require the key.
    Deny,
    /// `"skip"`: the limit does not apply to the request. Use it only if another limit applies, or no limit is
    /// required.
    Skip,
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

/// A text that is not `ip`, `deny` or `skip`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingKeyError {
    text: String,
}

impl fmt::Display for MissingKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "expected \"ip\" (count by address), \"deny\" (respond with 403) or \"skip\" (do not limit), found `{}`",
            self.text
        )
    }
}

impl Error for MissingKeyError {}
