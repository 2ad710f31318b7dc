//! Panics if RateGuard detects a programming error when the application starts.

use std::fmt::Display;

/// Returns the value, or panics with the error.
///
/// # Panics
///
/// The function panics if `value` is an error. The panic message is the text of the error. The panic location is the
/// location of the caller.
#[track_caller]
#[allow(
    clippy::panic,
    reason = "a programming error that is detected while the application is built"
)]
pub(crate) fn expect_valid<T>(value: Result<T, impl Display>) -> T {
    // This code uses `match`, because with `unwrap_or_else` the panic would have the location of the closure
    // instead of the location of the caller.
    match value {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}
