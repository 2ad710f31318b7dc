//! Stub.
use clap::Args;

use crate::{
    exit::{Exit, Outcome},
    output::Output,
};

/// Stub
#[derive(Args)]
pub(crate) struct ExplainArguments {}

pub(crate) fn run(_: &ExplainArguments, _: &Output) -> Outcome {
    Ok(Exit::Success)
}
