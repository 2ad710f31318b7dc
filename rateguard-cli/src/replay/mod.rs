//! Replays access logs against limits.

use std::process::ExitCode;

use clap::Args;

/// Replays access logs against limits.
#[derive(Args)]
pub(crate) struct ReplayArguments {}

pub(crate) fn run(_arguments: &ReplayArguments) -> ExitCode {
    ExitCode::SUCCESS
}
