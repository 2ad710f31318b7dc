//! Writes a script with which a shell completes the arguments of the program.

use clap::{Args, Command};
use clap_complete::{Shell, generate};

use crate::{
    exit::{Exit, Outcome},
    output::Output,
};

const EXAMPLES: &str = "\
Examples:
  rateguard completions bash > ~/.local/share/bash-completion/completions/rateguard
  rateguard completions zsh > \"${fpath[1]}/_rateguard\"
  rateguard completions fish > ~/.config/fish/completions/rateguard.fish";

/// Writes a completion script for a shell
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompletionsArguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Writes the script. `program` has the arguments of all commands.
pub(crate) fn run(
    arguments: &CompletionsArguments,
    mut program: Command,
    output: &Output,
) -> Outcome {
    let mut script = Vec::new();
    generate(arguments.shell, &mut program, "rateguard", &mut script);
    output.raw(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}
