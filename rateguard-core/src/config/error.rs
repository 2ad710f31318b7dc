//! Why a file with policies is not put in force.

use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Why a file with policies is not put in force. What was in force before, is still.
#[derive(Clone, Debug)]
pub struct PoliciesFileError {
    path: PathBuf,
    problem: Problem,
}

#[derive(Clone, Debug)]
enum Problem {
    Unreadable(Arc<io::Error>),
    BeingRead,
    Diagnostics(Vec<Diagnostic>),
}

/// A mistake in a file with policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) message: String,
}

impl Diagnostic {
    /// The line, from 1 on.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// The character of the line, from 1 on.
    #[must_use]
    pub fn column(&self) -> usize {
        self.column
    }

    /// What is wrong, and what is legal.
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

    /// Somebody else reads it, and takes long.
    pub(super) fn being_read(path: &Path) -> Self {
        Self { path: path.to_owned(), problem: Problem::BeingRead }
    }

    pub(super) fn mistakes_in(path: &Path, mistakes: Vec<Diagnostic>) -> Self {
        Self { path: path.to_owned(), problem: Problem::Diagnostics(mistakes) }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All mistakes that were found, in the order of their lines; none if the file cannot be read.
    #[must_use]
    pub fn mistakes(&self) -> &[Diagnostic] {
        match &self.problem {
            Problem::Unreadable(_) | Problem::BeingRead => &[],
            Problem::Diagnostics(mistakes) => mistakes,
        }
    }
}

/// One line for each mistake, as compilers write it: `rateguard.toml:3:8: …`; or why it cannot be read.
impl fmt::Display for PoliciesFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.problem {
            Problem::Unreadable(error) => write!(f, "{path} cannot be read: {error}"),
            Problem::BeingRead => write!(f, "{path} is still being read"),
            Problem::Diagnostics(mistakes) => {
                for (place, mistake) in mistakes.iter().enumerate() {
                    let line_break = if place == 0 { "" } else { "\n" };
                    write!(f, "{line_break}{path}:{mistake}")?;
                }
                Ok(())
            }
        }
    }
}

// It is shown whole, with its cause.
impl Error for PoliciesFileError {}
