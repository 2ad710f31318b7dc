//! The commands, each in a file of its own.

pub(crate) mod ban;
pub(crate) mod bench;
mod change;
pub(crate) mod check;
pub(crate) mod completions;
mod confirm;
pub(crate) mod explain;
pub(crate) mod overrides;
pub(crate) mod peek;
pub(crate) mod permits;
mod report;
pub(crate) mod reset;
mod statistics;
pub(crate) mod top;
mod top_view;

use std::process::ExitCode;

use clap::CommandFactory;

use crate::{
    arguments::{Arguments, Command},
    exit::Failure,
    output::Output,
    replay,
};

/// Runs a command, and returns the exit code of the program.
pub(crate) fn run(command: Command, output: &Output) -> Result<ExitCode, Failure> {
    let exit = match command {
        Command::Check(arguments) => check::run(&arguments, output),
        Command::Explain(arguments) => explain::run(&arguments, output),
        Command::Replay(arguments) => replay::run(&arguments, output),
        Command::Top(arguments) => top::run(&arguments, output),
        Command::Peek(arguments) => peek::run(&arguments, output),
        Command::Reset(arguments) => reset::run(&arguments, output),
        Command::Ban(arguments) => ban::run(&arguments, output),
        Command::Unban(arguments) => ban::run_unban(&arguments, output),
        Command::Override(arguments) => overrides::run(&arguments, output),
        Command::Permits(arguments) => permits::run(&arguments, output),
        Command::Bench(arguments) => bench::run(&arguments, output),
        Command::Completions(arguments) => {
            completions::run(&arguments, Arguments::command(), output)
        }
    };
    exit.map(ExitCode::from)
}
