//! The error of a check that the store did not decide.

use std::{error::Error, fmt};

use crate::{OnError, StoreError};

/// The store failed, so there is no decision.
///
/// This is not a denial: the key may be far below its limit. The numbers of a decision, such as the remaining units, do
/// not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable {
    cause: StoreError,
    on_error: OnError,
}

impl Unavailable {
    pub(super) fn new(cause: StoreError, on_error: OnError) -> Self {
        Self { cause, on_error }
    }

    /// Whether the failure mode admits the request. The failure mode is that of the policy, or else that of the guard.
    #[must_use]
    pub fn lets_pass(&self) -> bool {
        match self.on_error {
            OnError::Closed => false,
            // A later variant of this non-exhaustive enum admits the request unless it is listed here.
            _ => true,
        }
    }

    /// The failure mode that applies.
    pub(super) fn on_error(&self) -> OnError {
        self.on_error
    }

    /// Whether this process decides in its memory instead.
    pub(super) fn is_local(&self) -> bool {
        self.on_error == OnError::Local
    }

    /// The reason why the store failed.
    #[must_use]
    pub fn cause(&self) -> StoreError {
        self.cause
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the rate limit store failed")
    }
}

impl Error for Unavailable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}
