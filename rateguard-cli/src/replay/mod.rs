//! Replays access logs against limits.

mod arguments;
mod fields;
mod format;
mod input;
mod limit;
mod output_files;
mod read;
mod record;
mod reorder;
mod report;
mod simulation;
mod usage;

use std::{
    fs,
    io::{self, IsTerminal},
    path::Path,
};

pub(crate) use self::arguments::ReplayArguments;
use self::{
    fields::ExtraFields,
    limit::{LimitPolicy, load},
    output_files::check_output_files,
    read::read_logs,
    report::{Summary, html, json, suggested_policies, table},
    simulation::Simulation,
};
use crate::{
    exit::{Exit, Failure, Outcome},
    output::Output,
};

/// Replays the logs, and writes the reports.
pub(crate) fn run(arguments: &ReplayArguments, output: &Output) -> Outcome {
    check_output_files(arguments)?;
    let limits = load(&arguments.limits())?;
    let has_permits = limits.policies.iter().any(LimitPolicy::has_permits);
    let mut extras = ExtraFields::default();
    let counts_at_start = arguments.counts_at_start(has_permits);
    if has_permits && !counts_at_start {
        return Err(Failure::usage(
            "a policy limits the requests in progress, which needs `--count-at start`",
        ));
    }
    let mut simulation =
        Simulation::new(limits, arguments.max_keys(), counts_at_start, &mut extras);
    if arguments.logs().is_empty() && io::stdin().is_terminal() {
        output.note("reading the log from the standard input, until Ctrl+D");
    }
    let log = read_logs(arguments, counts_at_start, extras, &mut simulation)?;
    let summary = Summary::new(simulation, log, arguments.top);
    for warning in &summary.log.warnings {
        output.note(warning);
    }
    write_reports(arguments, &summary, output)?;
    if summary.requests == 0 {
        return Err(Failure::problem("expected requests in the logs, found none")
            .help("`--format` sets the format, and `--field` names the fields of JSON lines"));
    }
    Ok(Exit::Success)
}

fn write_reports(
    arguments: &ReplayArguments,
    summary: &Summary,
    output: &Output,
) -> Result<(), Failure> {
    if let Some(path) = &arguments.html {
        write_file(path, &html(summary))?;
    }
    if let Some(path) = &arguments.suggest
        && let Some(policies) = suggested_policies(summary)
    {
        write_file(path, &policies)?;
    }
    if output.is_json() {
        return output.json(&json(summary));
    }
    table(summary).into_iter().try_for_each(|(style, line)| output.line(style, line))
}

fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| {
        Failure::problem(format!("failed to write {}: {}", path.display(), error.kind()))
    })
}
