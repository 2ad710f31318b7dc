#![doc = include_str!("../README.md")]

mod arguments;
mod commands;
mod exit;
mod output;
mod policies_file;
mod replay;
mod target;

use std::process::ExitCode;

use clap::Parser;

use self::{arguments::Arguments, output::Output};

fn main() -> ExitCode {
    let Arguments { json, color, command } = Arguments::parse();
    let output = Output::new(json, color);
    commands::run(command, &output).unwrap_or_else(|failure| {
        output.failure(&failure);
        failure.exit.into()
    })
}
