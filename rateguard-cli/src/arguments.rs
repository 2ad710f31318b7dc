//! The arguments of the program, and its commands.

use clap::{Parser, Subcommand};

use crate::replay::ReplayArguments;

/// Checks policies files, shows and changes limits, and replays access logs.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Replay(ReplayArguments),
}
