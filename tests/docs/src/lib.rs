//! Compiles and runs the code blocks of the documents as doctests. The build script writes a module for each document.

use std::{fmt::Display, thread, time::Duration};

include!(concat!(env!("OUT_DIR"), "/documents.rs"));

#[cfg(test)]
mod testable;

/// Starts a program that is a server.
///
/// # Panics
///
/// The function panics if the program ends or panics within half a second, for example because of an invalid limit.
#[allow(clippy::panic, reason = "this is a function for tests")]
pub fn starts<E: Display + 'static>(program: fn() -> Result<(), E>) {
    let server = thread::spawn(move || program().map_err(|error| error.to_string()));
    thread::sleep(Duration::from_millis(500)); // a doctest ends the process, and thereby the server
    if server.is_finished() {
        panic!("expected a running server, found {:?}", server.join());
    }
}
