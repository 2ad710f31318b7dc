//! Stub.
use clap::Args;

use crate::{
    exit::{Exit, Outcome},
    output::Output,
};

/// Stub
#[derive(Args)]
pub(crate) struct TopArguments {}

pub(crate) fn run(_: &TopArguments, _: &Output) -> Outcome {
    Ok(Exit::Success)
}
