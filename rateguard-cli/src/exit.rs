//! The exit codes of the program, and the errors that end a command.

use std::{fmt, process::ExitCode};

/// The exit codes. `--help` and the documentation list them, so a code never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The command did its work.
    Success = 0,
    /// The command found a problem: an invalid file, a denied key, or a change that is not possible.
    Problem = 1,
    /// An argument is invalid. `clap` uses the same code.
    Usage = 2,
    /// The server or the store did not answer.
    Unreachable = 3,
    /// The server or the store refused the credentials.
    Refused = 4,
}

/// The part of `--help` that explains the exit codes.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  the command did its work
  1  a problem: an invalid file, a denied key (`peek --exit-code`), an impossible change
  2  an argument is invalid
  3  the server or Redis did not answer
  4  the server or Redis refused the credentials";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The result of a command.
pub(crate) type Outcome = Result<Exit, Failure>;

/// An error that ends a command. Its texts contain no token, no password and no URL.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// `None` if the reader of the output has closed it, such as `head`. Such an error is not reported.
    pub(crate) message: Option<String>,
    /// The next step of the user.
    pub(crate) help: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: Some(message.to_string()), help: None }
    }

    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn problem(message: impl fmt::Display) -> Self {
        Self::new(Exit::Problem, message)
    }

    pub(crate) fn unreachable(message: impl fmt::Display) -> Self {
        Self::new(Exit::Unreachable, message)
    }

    pub(crate) fn refused(message: impl fmt::Display) -> Self {
        Self::new(Exit::Refused, message)
    }

    /// The failure of a write to the output.
    pub(crate) fn output(error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => {
                Self { exit: Exit::Success, message: None, help: None }
            }
            kind => Self::problem(format!("failed to write the output: {kind}")),
        }
    }

    /// Adds the next step of the user.
    pub(crate) fn help(mut self, help: impl fmt::Display) -> Self {
        self.help = Some(help.to_string());
        self
    }
}
