//! Describes a limit in messages.

use std::{fmt, panic::Location};

/// A limit in a message: its name, if the program has set one, and its place in the source. The default name of a limit
/// is omitted, because the program does not contain it.
#[derive(Clone, Copy)]
pub(crate) struct LimitName<'a> {
    /// The name of the limit. `None` if the limit has only a default name.
    pub(crate) name: Option<&'a str>,
    pub(crate) location: &'static Location<'static>,
}

impl fmt::Display for LimitName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, line) = (self.location.file(), self.location.line());
        match self.name {
            Some(name) => write!(f, "limit `{name}` at {file}:{line}"),
            None => write!(f, "the limit without a name at {file}:{line}"),
        }
    }
}
