//! No decision: the store did not answer.

use std::{error::Error, fmt};

use crate::{OnError, StoreError};

/// The store did not answer, so nothing was decided.
///
/// This is no denial: the caller may be well within its limit. The numbers of a decision do not exist here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable {
    cause: StoreError,
    on_error: OnError,
}

impl Unavailable {
    pub(super) fn new(cause: StoreError, on_error: OnError) -> Self {
        Self { cause, on_error }
    }

    /// Whether the request passes nevertheless: the policy, or else the guard, fails open.
    #[must_use]
    pub fn lets_pass(&self) -> bool {
        match self.on_error {
            OnError::Closed => false,
            // Only what is refused by name is refused.
            _ => true,
        }
    }

    /// What happens instead.
    pub(super) fn on_error(&self) -> OnError {
        self.on_error
    }

    /// Whether it is to be decided in memory instead.
    pub(super) fn is_local(&self) -> bool {
        self.on_error == OnError::Local
    }

    /// Why the store did not answer.
    #[must_use]
    pub fn cause(&self) -> StoreError {
        self.cause
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store of the rate limit did not answer")
    }
}

impl Error for Unavailable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}
