//! The reasons why an override could not be set or removed.

use std::{error::Error, fmt};

use super::document::{MAX_DESCRIPTION, MAX_OVERRIDES};
use crate::{RateError, StoreError};

/// The reason why a call could not set or remove an override.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OverrideError {
    /// The guard was built without [`overrides`](crate::RateGuardBuilder::overrides).
    Disabled,
    /// A quota or the list of quotas is invalid.
    Quota(RateError),
    /// The duration is not from 1 second to 90 days.
    Length,
    /// The description has more than 200 characters.
    Description,
    /// There are already 1,000 overrides.
    TooMany,
    /// Other processes changed the overrides each time that this process tried to do so.
    Conflict,
    /// The store failed. It is possible that the store has set or removed the override before the failure.
    Store(StoreError),
}

impl fmt::Display for OverrideError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disabled => f.write_str(
                "expected a guard with overrides, found a guard without them; call `.overrides(true)` before `build()`",
            ),
            Self::Quota(error) => write!(f, "quotas of the override: {error}"),
            Self::Length => f.write_str("expected a duration of the override from 1 second to 90 days"),
            Self::Description => {
                write!(f, "expected a description of at most {MAX_DESCRIPTION} characters")
            }
            Self::TooMany => write!(
                f,
                "expected at most {MAX_OVERRIDES} overrides; remove an override, or use a plan for many keys"
            ),
            Self::Conflict => {
                f.write_str("other processes changed the overrides at the same time; try again")
            }
            Self::Store(cause) => write!(f, "the store failed: {cause}"),
        }
    }
}

actix_rateguard_grammar::debug_as_display!(OverrideError);

impl Error for OverrideError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // The message already contains the text of the cause.
            Self::Store(cause) => cause.source(),
            _ => None,
        }
    }
}

impl From<StoreError> for OverrideError {
    fn from(cause: StoreError) -> Self {
        Self::Store(cause)
    }
}
