//! Panics for programming errors that are detected while the application is built.

use std::fmt::Display;

/// Returns the value.
///
/// # Panics
///
/// With the error as the message and the caller's location, if the value is an error.
#[track_caller]
#[allow(
    clippy::panic,
    reason = "a programming error that is detected while the application is built"
)]
pub(crate) fn expect_valid<T>(value: Result<T, impl Display>) -> T {
    // A closure such as that of `unwrap_or_else` would replace the location of the caller.
    match value {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}
