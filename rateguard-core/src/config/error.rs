//! Errors of policies files.

use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The reason why a policies file was rejected. The earlier policies stay active.
#[derive(Clone, Debug)]
pub struct PoliciesFileError {
    path: PathBuf,
    problem: Problem,
}

#[derive(Clone, Debug)]
enum Problem {
    Unreadable(Arc<io::Error>),
    Busy,
    Invalid(Vec<Diagnostic>),
}

/// An error at a position of a policies file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) message: String,
}

impl Diagnostic {
    /// The line, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column in characters, from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.column
    }

    /// The message, which contains the valid values.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl PoliciesFileError {
    pub(super) fn unreadable(path: &Path, error: io::Error) -> Self {
        Self { path: path.to_owned(), problem: Problem::Unreadable(Arc::new(error)) }
    }

    /// Another thread has been reading the file for more than a second.
    pub(super) fn busy(path: &Path) -> Self {
        Self { path: path.to_owned(), problem: Problem::Busy }
    }

    pub(super) fn invalid(path: &Path, diagnostics: Vec<Diagnostic>) -> Self {
        Self { path: path.to_owned(), problem: Problem::Invalid(diagnostics) }
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The diagnostics in the order of their lines. Empty if the file could not be read.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match &self.problem {
            Problem::Unreadable(_) | Problem::Busy => &[],
            Problem::Invalid(diagnostics) => diagnostics,
        }
    }
}

/// One line for each diagnostic in the form of a compiler, `rateguard.toml:3:8: …`, or the reason why the file could
/// not be read.
impl fmt::Display for PoliciesFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.problem {
            Problem::Unreadable(error) => write!(f, "failed to read {path}: {error}"),
            Problem::Busy => write!(f, "another thread is still reading {path}; try again later"),
            Problem::Invalid(diagnostics) => {
                for (index, diagnostic) in diagnostics.iter().enumerate() {
                    let line_break = if index == 0 { "" } else { "\n" };
                    write!(f, "{line_break}{path}:{diagnostic}")?;
                }
                Ok(())
            }
        }
    }
}

// `Display` contains the cause, so there is no `source`.
impl Error for PoliciesFileError {}
