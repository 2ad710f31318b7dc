//! Replays access logs against limits.

mod arguments;
mod fields;
mod format;
mod input;
mod limit;
mod output;
mod read;
mod record;
mod reorder;
mod report;
mod simulation;
mod usage;

use std::process::ExitCode;

pub(crate) use self::arguments::ReplayArguments;
use self::{
    fields::ExtraFields,
    limit::load,
    output::{print, print_error, write_file},
    read::read_logs,
    report::{Summary, html, json, suggested_policies, table},
    simulation::Simulation,
};

/// The exit code if no line of the logs could be read, or a file could not be read or written.
const FAILED: u8 = 1;
/// The exit code of invalid arguments, as that of clap, and of an invalid policies file.
const INVALID: u8 = 2;

/// Replays the logs, and writes the reports.
pub(crate) fn run(arguments: &ReplayArguments) -> ExitCode {
    let limits = match load(&arguments.limits()) {
        Ok(limits) => limits,
        Err(error) => {
            print_error(&error);
            return INVALID.into();
        }
    };
    let mut extras = ExtraFields::default();
    let counts_at_start =
        arguments.counts_at_start(limits.policies.iter().any(|it| it.has_permits()));
    let mut simulation =
        Simulation::new(limits, arguments.max_keys(), counts_at_start, &mut extras);
    let log = match read_logs(arguments, counts_at_start, extras, &mut simulation) {
        Ok(log) => log,
        Err(error) => {
            print_error(&error);
            return FAILED.into();
        }
    };
    let summary = Summary::new(simulation, log, arguments.top);
    match write_reports(arguments, &summary) {
        Ok(()) if summary.requests > 0 => ExitCode::SUCCESS,
        Ok(()) => {
            print_error("expected requests in the logs, found none; `--format` sets the format");
            FAILED.into()
        }
        Err(error) => {
            print_error(&error);
            FAILED.into()
        }
    }
}

fn write_reports(arguments: &ReplayArguments, summary: &Summary) -> Result<(), String> {
    if let Some(path) = &arguments.html {
        write_file(path, &html(summary))?;
    }
    if let Some(path) = &arguments.suggest
        && let Some(policies) = suggested_policies(summary)
    {
        write_file(path, &policies)?;
    }
    if arguments.json {
        print(&json(summary).to_string())
    } else {
        print(table(summary).trim_end())
    }
}
