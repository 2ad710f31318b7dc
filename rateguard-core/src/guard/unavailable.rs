//! The error for a request on which the store did not decide.

use std::{error::Error, fmt};

use crate::{OnError, StoreError};

/// The store failed, so there is no decision.
///
/// This error is not a denial, because the key may be far below the limit. The numbers of a decision, such as the
/// remaining units, are not available.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Unavailable {
    cause: StoreError,
    on_error: OnError,
}

impl Unavailable {
    pub(super) fn new(cause: StoreError, on_error: OnError) -> Self {
        Self { cause, on_error }
    }

    /// Whether the failure mode admits the request. The policy sets the failure mode, or else the guard does.
    #[must_use]
    pub fn lets_pass(&self) -> bool {
        match self.on_error {
            OnError::Closed => false,
            // `OnError` is non-exhaustive. A new variant admits the request unless a match arm is added here.
            _ => true,
        }
    }

    /// The failure mode that applies.
    pub(super) fn on_error(&self) -> OnError {
        self.on_error
    }

    /// Whether this process decides in its memory instead of the store.
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

crate::debug_as_display::debug_as_display!(Unavailable);

impl Error for Unavailable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}
