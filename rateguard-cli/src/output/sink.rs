//! The sink of all output of the program.

use std::{
    env,
    io::{self, IsTerminal, Write},
};

use clap::ValueEnum;
use serde::Serialize;

use super::escape::{printable, printable_json};
use crate::exit::Failure;

/// When the output has colors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless the variable NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The style of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Bold,
    Faint,
    Good,
    Bad,
    Warning,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "1",
            Self::Faint => "2",
            Self::Good => "32",
            Self::Bad => "31",
            Self::Warning => "33",
        }
    }
}

/// Writes text or JSON to the standard output, and errors to the standard error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    is_json: bool,
    has_color: bool,
    has_error_color: bool,
}

impl Output {
    pub(crate) fn new(is_json: bool, color: ColorChoice) -> Self {
        let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_dumb = env::var_os("TERM").is_some_and(|value| value == "dumb");
        let has_color = |is_terminal: bool| match color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => is_terminal && !no_color && !is_dumb,
        };
        Self {
            is_json,
            has_color: has_color(io::stdout().is_terminal()),
            has_error_color: has_color(io::stderr().is_terminal()),
        }
    }

    /// Whether the output is JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.is_json
    }

    /// Whether a person reads the output on a terminal.
    pub(crate) fn is_terminal() -> bool {
        io::stdout().is_terminal()
    }

    /// Writes a line. Characters that could control the terminal are escaped.
    pub(crate) fn line(&self, style: Style, text: impl AsRef<str>) -> Result<(), Failure> {
        self.raw(&(self.styled(style, text.as_ref()) + "\n"))
    }

    /// Returns the text with its style, for [`raw`](Self::raw).
    pub(crate) fn styled(&self, style: Style, text: &str) -> String {
        colored(self.has_color, style, &printable(text))
    }

    /// Writes text as it is. Only for text that [`styled`](Self::styled) returned, and for control sequences.
    pub(crate) fn raw(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        written.map_err(|error| Failure::output(&error))
    }

    /// Writes a value as one line of JSON.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let json = serde_json::to_string(value)
            .map_err(|_| Failure::problem("failed to write the output as JSON"))?;
        self.raw(&(printable_json(&json) + "\n"))
    }

    /// Writes a failure to the standard error.
    pub(crate) fn failure(&self, failure: &Failure) {
        let Some(message) = &failure.message else { return };
        self.report(Style::Bad, "error", message);
        if let Some(help) = &failure.help {
            self.report(Style::Bold, " help", help);
        }
    }

    /// Writes a remark for the user to the standard error, so that it is not part of the output.
    pub(crate) fn note(&self, text: &str) {
        self.report(Style::Warning, "note", text);
    }

    fn report(&self, style: Style, word: &str, text: &str) {
        let word = colored(self.has_error_color, style, word);
        // There is no other place for an error of the standard error.
        let _ = writeln!(io::stderr(), "{word}: {}", printable(text));
    }
}

fn colored(has_color: bool, style: Style, text: &str) -> String {
    match style.code() {
        code if has_color && !code.is_empty() => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        _ => text.to_owned(),
    }
}
