//! Defines the errors that a policies file can have.

use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The reason why a policies file was rejected. If a reload fails, the current policies stay in effect.
#[derive(Clone)]
pub struct PoliciesFileError {
    path: PathBuf,
    problem: FileProblem,
}

#[derive(Clone, Debug)]
enum FileProblem {
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
    /// Returns the line number of the error, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// Returns the column of the error in characters, from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.column
    }

    /// Returns the message, which contains the valid values, so that a user can correct the file.
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
        Self { path: path.to_owned(), problem: FileProblem::Unreadable(Arc::new(error)) }
    }

    /// Creates the error for a reload that has waited for more than a second while another thread reads the file.
    pub(super) fn busy(path: &Path) -> Self {
        Self { path: path.to_owned(), problem: FileProblem::Busy }
    }

    pub(super) fn invalid(path: &Path, diagnostics: Vec<Diagnostic>) -> Self {
        Self { path: path.to_owned(), problem: FileProblem::Invalid(diagnostics) }
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the diagnostics in the order of their positions. The slice is empty if the file could not be read.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match &self.problem {
            FileProblem::Unreadable(_) | FileProblem::Busy => &[],
            FileProblem::Invalid(diagnostics) => diagnostics,
        }
    }
}

/// Writes one line for each diagnostic, such as `rateguard.toml:3:8: …`, as compilers do. If the file could not be
/// read, writes the reason.
impl fmt::Display for PoliciesFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.problem {
            FileProblem::Unreadable(error) => write!(f, "failed to read {path}: {error}"),
            FileProblem::Busy => {
                write!(f, "another thread is still reading {path}; try again later")
            }
            FileProblem::Invalid(diagnostics) => {
                for (index, diagnostic) in diagnostics.iter().enumerate() {
                    let line_break = if index == 0 { "" } else { "\n" };
                    write!(f, "{line_break}{path}:{diagnostic}")?;
                }
                Ok(())
            }
        }
    }
}

// The output of `Display` already contains the I/O error, so `source` does not return it again.
actix_rateguard_grammar::debug_as_display!(PoliciesFileError);

impl Error for PoliciesFileError {}
