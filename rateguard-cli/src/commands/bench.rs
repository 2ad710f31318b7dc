//! Stub.
use clap::Args;

use crate::{
    exit::{Exit, Outcome},
    output::Output,
};

/// Stub
#[derive(Args)]
pub(crate) struct BenchArguments {}

pub(crate) fn run(_: &BenchArguments, _: &Output) -> Outcome {
    Ok(Exit::Success)
}
