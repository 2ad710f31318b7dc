//! The error for a request that the store failed to decide.

use std::{error::Error, fmt};

use crate::{OnError, StoreError};

/// The error for a request on which there is no decision, because the store failed.
///
/// This error is not a denial: the guard does not know how many units the key has left. So the error contains no
/// numbers of a decision, such as the remaining units.
///
/// The text of the error contains the text of the [cause](Self::cause). So [`source`](Error::source) does not return
/// the cause again. It returns the I/O error that led to the cause, if there was an I/O error. The text never contains
/// a key or a text from a server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Unavailable {
    cause: StoreError,
    on_error: OnError,
}

impl Unavailable {
    pub(super) fn new(cause: StoreError, on_error: OnError) -> Self {
        Self { cause, on_error }
    }

    /// Returns whether the failure mode admits the request. If the policy sets no failure mode, the failure mode of the
    /// guard applies.
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

    /// Returns the reason why the store failed.
    #[must_use]
    pub fn cause(&self) -> StoreError {
        self.cause
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the rate limit store failed: {}", self.cause)
    }
}

actix_rateguard_grammar::debug_as_display!(Unavailable);

impl Error for Unavailable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.source()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn text_has_the_cause_once_and_the_source_is_the_reason_for_the_cause() {
        let cause = StoreError::Unreachable(Some(io::ErrorKind::ConnectionRefused.into()));
        let error = Unavailable::new(cause, OnError::Open);
        let text = "the rate limit store failed: the server cannot be reached";
        assert_eq!(error.to_string(), text);
        assert_eq!(error.source().unwrap().to_string(), "connection refused");
        assert_eq!(format!("{error:?}"), format!("{text}: connection refused"));
        assert!(Unavailable::new(StoreError::Timeout, OnError::Open).source().is_none());
    }
}
