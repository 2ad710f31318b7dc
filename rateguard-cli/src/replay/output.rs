//! Writes to the standard output, to the standard error and to files.

use std::{
    fs,
    io::{self, ErrorKind, Write},
    path::Path,
};

/// Prints a text and a line break. A closed pipe, as of `| head`, is no error.
///
/// # Errors
///
/// The message for any other error.
pub(super) fn print(text: &str) -> Result<(), String> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("failed to write to the standard output: {error}"))
        }
        _ => Ok(()),
    }
}

/// Prints an error to the standard error.
pub(super) fn print_error(error: &str) {
    // If the standard error is closed, nobody reads the message.
    let _ = writeln!(io::stderr(), "error: {error}");
}

/// Writes a file.
///
/// # Errors
///
/// The message for the error of the operating system.
pub(super) fn write_file(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("failed to write {}: {error}", path.display()))
}
