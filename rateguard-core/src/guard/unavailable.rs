//! The error for a request that the store failed to decide.

use std::{error::Error, fmt};

use crate::{OnError, StoreError};

/// The error for a request on which there is no decision, because the store failed.
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

    /// Whether the failure mode admits the request. If the policy sets no failure mode, the failure mode of the guard
    /// applies.
    #[must_use]
    pub fn lets_pass(&self) -> bool {
        match self.on_error {
            OnError::Closed => false,
            // `OnError` is non-exhaustive. A new variant admits the request unless a match arm is added here.
            _ => true,
        }
    }

    /// Returns the failure mode that applies to the request.
    pub(super) fn on_error(&self) -> OnError {
        self.on_error
    }

    /// Whether the guard decides on the request in this process's memory, in place of the store.
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

actix_rateguard_grammar::debug_as_display!(Unavailable);

impl Error for Unavailable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}
