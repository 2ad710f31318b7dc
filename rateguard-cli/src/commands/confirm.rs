//! Asks the user before a change.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::Args;

use crate::{
    exit::Failure,
    output::{Output, Style, printable},
};

/// The arguments of each command that changes something.
#[derive(Args)]
pub(crate) struct ConfirmArguments {
    /// Do not ask for confirmation; required if the input is not a terminal
    #[arg(long, short, help_heading = "Confirmation")]
    yes: bool,

    /// Say what the command would do, and change nothing
    #[arg(long, conflicts_with = "yes", help_heading = "Confirmation")]
    dry_run: bool,
}

/// Returns whether the command may change something. `action` says what it will do, such as `ban user=42`.
pub(crate) fn confirm(
    arguments: &ConfirmArguments,
    action: &str,
    output: &Output,
) -> Result<bool, Failure> {
    if arguments.dry_run {
        if output.is_json() {
            output
                .json(&serde_json::json!({ "version": 1, "is_dry_run": true, "action": action }))?;
        } else {
            output.line(Style::Plain, format!("would {action}"))?;
        }
        return Ok(false);
    }
    if arguments.yes {
        return Ok(true);
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("expected `--yes`, because the input is not a terminal")
            .help(format!("with `--yes`, the command will {action}")));
    }
    let mut stderr = io::stderr();
    // If the terminal is gone, the answer cannot be read either.
    let _ =
        write!(stderr, "{}? [y/N] ", printable(&capitalized(action))).and_then(|()| stderr.flush());
    let mut answer = String::new();
    let is_read = io::stdin().lock().read_line(&mut answer).is_ok();
    let is_yes = is_read && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes");
    if is_yes { Ok(true) } else { Err(Failure::problem("nothing was changed")) }
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
