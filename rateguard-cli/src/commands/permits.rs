//! Stub.
use clap::Args;

use crate::{
    exit::{Exit, Outcome},
    output::Output,
};

/// Stub
#[derive(Args)]
pub(crate) struct PermitsArguments {}

pub(crate) fn run(_: &PermitsArguments, _: &Output) -> Outcome {
    Ok(Exit::Success)
}
