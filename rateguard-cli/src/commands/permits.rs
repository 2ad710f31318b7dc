//! Shows which permits are held: by a key, or by each process.

use clap::Args;
use serde_json::{Value, json};

use super::{
    peek::key_report,
    statistics::{self, Statistics},
};
use crate::{
    exit::{Exit, Failure, Outcome},
    output::{Output, Style, Table, seconds},
    target::{KEY_HELP, KeyValues, TargetArguments},
};

const EXAMPLES: &str = "\
Examples:
  rateguard permits exports user=42 --server https://shop.example/operator
  rateguard permits --server https://shop.example/operator

Without a key, the command shows the permits of each process. This needs a guard with statistics
(`RateGuardBuilder::statistics`).";

/// Shows the permits that a key holds, or that each process holds
#[derive(Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{KEY_HELP}"))]
pub(crate) struct PermitsArguments {
    /// The name of the limit or policy
    policy: Option<String>,

    /// The parts of the client's key, such as `user=42`
    #[arg(value_name = "NAME=VALUE", requires = "policy")]
    key: Vec<String>,

    #[command(flatten)]
    target: TargetArguments,
}

pub(crate) fn run(arguments: &PermitsArguments, output: &Output) -> Outcome {
    match &arguments.policy {
        Some(policy) => of_key(arguments, policy, output),
        None => of_processes(arguments, output),
    }
}

fn of_key(arguments: &PermitsArguments, policy: &str, output: &Output) -> Outcome {
    let key = KeyValues::parse(&arguments.key)?;
    let report = key_report(&arguments.target, policy, &key)?;
    let mut held = report.statuses().iter().filter_map(|status| Some((status, status.held?)));
    let Some((status, held)) = held.next() else {
        return Err(Failure::problem(format!(
            "expected a policy with permits (`concurrent`), found `{policy}` without them"
        )));
    };
    if output.is_json() {
        output.json(&json!({
            "version": 1,
            "policy": policy,
            "key_text": key.to_string(),
            "held": held,
            "limit": status.limit,
            "remaining": status.remaining,
        }))?;
        return Ok(Exit::Success);
    }
    let style = if status.remaining == 0 { Style::Bad } else { Style::Plain };
    let text = format!(
        "{policy} {key}: {held} of {} permits are held, {} are free",
        status.limit, status.remaining
    );
    output.line(style, text)?;
    Ok(Exit::Success)
}

fn of_processes(arguments: &PermitsArguments, output: &Output) -> Outcome {
    let statistics = Statistics::of(&statistics::read(&arguments.target.open()?, None)?)?;
    if output.is_json() {
        let process = |it: &statistics::Process| {
            json!({
                "id": it.id,
                "name": it.name,
                "permits_held": it.permits_held,
                "permits_waiting": it.permits_waiting,
                "requests_waiting": it.requests_waiting,
            })
        };
        let processes: Vec<Value> = statistics.processes.iter().map(process).collect();
        output.json(&json!({ "version": 1, "scope": statistics.scope, "processes": processes }))?;
        return Ok(Exit::Success);
    }
    let mut table =
        Table::new(&["PROCESS", "UP", "HELD", "WAITING FOR PERMITS", "WAITING REQUESTS"])
            .numbers(&[2, 3, 4]);
    for process in &statistics.processes {
        table.row(
            Style::Plain,
            vec![
                process.label(),
                seconds(process.uptime_seconds.floor()),
                process.permits_held.to_string(),
                process.permits_waiting.to_string(),
                process.requests_waiting.to_string(),
            ],
        );
    }
    table.write(output)?;
    Ok(Exit::Success)
}
