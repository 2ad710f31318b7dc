//! What happens to a request that does not have what its limit tells callers apart by.

use std::{error::Error, fmt, str::FromStr};

use crate::shown::shown;

/// What happens to a request that has no key: without the header, cookie, parameter, user or value that the limit asks
/// for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MissingKey {
    /// `"ip"`: it is counted by its client's address, apart from the requests that have a key. The default, because then
    /// a missing value neither lifts the limit nor puts strangers together.
    #[default]
    Ip,
    /// `"deny"`: it is refused with 403. For what nobody may do without the key.
    Deny,
    /// `"skip"`: this limit does not apply to it. Only where another limit does, or none has to.
    Skip,
}

impl FromStr for MissingKey {
    type Err = MissingKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "ip" => Ok(Self::Ip),
            "deny" => Ok(Self::Deny),
            "skip" => Ok(Self::Skip),
            _ => Err(MissingKeyError { text: shown(text) }),
        }
    }
}

/// A word that is none of `ip`, `deny` and `skip`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingKeyError {
    text: String,
}

impl fmt::Display for MissingKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not legal here; legal are \"ip\" (count by address), \"deny\" (answer 403) and \"skip\" (do not limit)",
            self.text
        )
    }
}

impl Error for MissingKeyError {}
