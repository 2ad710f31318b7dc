//! Sets, removes and lists overrides, which replace the quotas of a policy for one key.

use std::time::Duration;

use actix_rateguard_core::{QuotaOverride, Quotas};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    ban::parse_length, change::Change, confirm::ConfirmArguments, report::override_failure,
};
use crate::{
    exit::{Exit, Failure, Outcome},
    output::{Output, Style, Table, duration, seconds},
    target::{KEY_HELP, RedisTarget, Target, TargetArguments},
};

const EXAMPLES: &str = "\
Examples:
  rateguard override set api user=42 --quotas \"1000/minute\" --for 1h \\
    --server https://shop.example/operator
  rateguard override remove api user=42 --server https://shop.example/operator
  rateguard override list --redis redis://127.0.0.1:6379 --prefix shop";

/// Sets, removes and lists overrides, which replace the quotas of a policy for one key
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct OverrideArguments {
    #[command(subcommand)]
    command: OverrideCommand,
}

#[derive(Subcommand)]
enum OverrideCommand {
    Set(SetArguments),
    Remove(RemoveArguments),
    List(ListArguments),
}

/// Replaces the quotas of a policy for one key, for a limited time
#[derive(Args)]
#[command(after_long_help = KEY_HELP)]
struct SetArguments {
    /// The name of the limit or policy
    policy: String,

    /// The parts of the client's key, such as `user=42`
    #[arg(required = true, value_name = "NAME=VALUE")]
    key: Vec<String>,

    /// The quotas, as many as the policy has and in the same order
    #[arg(long, value_name = "RATE", value_parser = parse_quotas)]
    quotas: Quotas,

    /// The duration of the override, from 1s to 90d
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_length)]
    length: Duration,

    /// A text of up to 200 characters, which `override list` shows
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,

    #[command(flatten)]
    confirm: ConfirmArguments,

    #[command(flatten)]
    target: TargetArguments,
}

/// Removes the override of a key
#[derive(Args)]
#[command(after_long_help = KEY_HELP)]
struct RemoveArguments {
    /// The name of the limit or policy
    policy: String,

    /// The parts of the client's key, such as `user=42`
    #[arg(required = true, value_name = "NAME=VALUE")]
    key: Vec<String>,

    #[command(flatten)]
    confirm: ConfirmArguments,

    #[command(flatten)]
    target: TargetArguments,
}

/// Lists the overrides that are in effect
#[derive(Args)]
struct ListArguments {
    #[command(flatten)]
    target: TargetArguments,
}

fn parse_quotas(text: &str) -> Result<Quotas, String> {
    text.parse().map_err(|error: actix_rateguard_core::error::RateError| error.to_string())
}

pub(crate) fn run(arguments: &OverrideArguments, output: &Output) -> Outcome {
    match &arguments.command {
        OverrideCommand::Set(arguments) => set(arguments, output),
        OverrideCommand::Remove(arguments) => remove(arguments, output),
        OverrideCommand::List(arguments) => list(arguments, output),
    }
}

fn set(arguments: &SetArguments, output: &Output) -> Outcome {
    let SetArguments { policy, key, quotas, length, description, confirm, target } = arguments;
    let change = Change::new(target, policy, key)?;
    let action = format!(
        "give {} the quotas {quotas} under `{policy}` for {}",
        change.key,
        duration(*length)
    );
    let mut fields = json!({ "quotas": quotas.to_string(), "for_seconds": length.as_secs_f64() });
    if let Some(description) = description {
        fields["description"] = description.clone().into();
    }
    let fields = change.run(
        confirm,
        &action,
        output,
        "set_override",
        fields,
        async |redis, policy, key| {
            let (guard, quotas) = (&redis.guard, quotas.clone());
            let result = match description {
                Some(text) => {
                    guard.set_described_override(policy, key, quotas, *length, text).await
                }
                None => guard.set_override(policy, key, quotas, *length).await,
            };
            result.map_err(|error| override_failure(&error))?;
            Ok(json!({ "ends_after_seconds": length.as_secs_f64() }))
        },
    )?;
    let Some(fields) = fields else { return Ok(Exit::Success) };
    let text = format!(
        "{} has the quotas {quotas} under `{policy}` for {}",
        change.key,
        duration(*length)
    );
    change.write(output, fields, &text)
}

fn remove(arguments: &RemoveArguments, output: &Output) -> Outcome {
    let RemoveArguments { policy, key, confirm, target } = arguments;
    let change = Change::new(target, policy, key)?;
    let action = format!("remove the override of {} under `{policy}`", change.key);
    let fields = change.run(
        confirm,
        &action,
        output,
        "remove_override",
        json!({}),
        async |redis, policy, key| {
            let result = redis.guard.remove_override(policy, key).await;
            let was_overridden = result.map_err(|error| override_failure(&error))?;
            Ok(json!({ "was_overridden": was_overridden }))
        },
    )?;
    let Some(fields) = fields else { return Ok(Exit::Success) };
    let text = match fields["was_overridden"].as_bool() {
        Some(false) => format!("{} had no override under `{policy}`", change.key),
        _ => format!("removed the override of {} under `{policy}`", change.key),
    };
    change.write(output, fields, &text)
}

fn list(arguments: &ListArguments, output: &Output) -> Outcome {
    let json = match arguments.target.open()? {
        Target::Server(server) => server.get("overrides")?,
        Target::Redis(redis) => overrides(&redis)?,
    };
    if output.is_json() {
        output.json(&json)?;
        return Ok(Exit::Success);
    }
    let mut table = Table::new(&["POLICY", "KEY DIGEST", "QUOTAS", "ENDS IN", "DESCRIPTION"]);
    for item in json["overrides"].as_array().into_iter().flatten() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let quotas =
            item["quotas"].as_array().into_iter().flatten().map(|quota| text(&quota["text"]));
        table.row(
            Style::Plain,
            vec![
                text(&item["policy"]),
                text(&item["key_digest"]),
                quotas.collect::<Vec<_>>().join("; "),
                item["ends_after_seconds"].as_f64().map_or_else(String::new, seconds),
                text(&item["description"]),
            ],
        );
    }
    if table.is_empty() {
        output.line(Style::Plain, "no overrides are in effect")?;
    } else {
        table.write(output)?;
    }
    Ok(Exit::Success)
}

/// Returns the fields of `GET overrides` from Redis.
fn overrides(redis: &RedisTarget) -> Result<Value, Failure> {
    redis.run(redis.guard.load_overrides()).map_err(|error| override_failure(&error))?;
    let item = |item: &QuotaOverride| {
        let quotas = item
            .quotas
            .iter()
            .map(|quota| json!({ "text": quota.to_string(), "limit": quota.limit() }));
        json!({
            "policy": item.policy,
            "key_digest": item.key_digest,
            "quotas": quotas.collect::<Vec<_>>(),
            "ends_after_seconds": item.ends_after.as_secs_f64(),
            "description": item.description,
        })
    };
    let overrides: Vec<Value> = redis.guard.overrides().iter().map(item).collect();
    Ok(json!({ "version": 1, "overrides": overrides }))
}
