//! Bans a key, or ends its ban.

use std::time::Duration;

use actix_rateguard_core::{adapter::parse_window, error::BanError};
use clap::Args;
use serde_json::json;

use super::{change::Change, confirm::ConfirmArguments};
use crate::{
    exit::{Exit, Failure, Outcome},
    output::{Output, duration, seconds},
    target::{KEY_HELP, TargetArguments, failure_of},
};

const BAN_EXAMPLES: &str = "\
Examples:
  rateguard ban login ip=192.0.2.7 --for 10m --server https://shop.example/operator
  rateguard ban login user=42 ip=192.0.2.7 --for 1d --redis redis://127.0.0.1:6379 --prefix shop \\
    --policies rateguard.toml --yes

Only a policy with a `ban` can ban a key. A longer ban that the key already has stays in effect.";

/// Bans a key from now on
#[derive(Args)]
#[command(after_help = BAN_EXAMPLES, after_long_help = format!("{BAN_EXAMPLES}\n\n{KEY_HELP}"))]
pub(crate) struct BanArguments {
    /// The name of the limit or policy
    policy: String,

    /// The parts of the client's key, such as `ip=192.0.2.7`
    #[arg(required = true, value_name = "NAME=VALUE")]
    key: Vec<String>,

    /// The duration of the ban, from 1s to 90d
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_length)]
    length: Duration,

    #[command(flatten)]
    confirm: ConfirmArguments,

    #[command(flatten)]
    target: TargetArguments,
}

const UNBAN_EXAMPLES: &str = "\
Examples:
  rateguard unban login ip=192.0.2.7 --server https://shop.example/operator";

/// Ends the ban of a key, and removes its offences
#[derive(Args)]
#[command(after_help = UNBAN_EXAMPLES, after_long_help = format!("{UNBAN_EXAMPLES}\n\n{KEY_HELP}"))]
pub(crate) struct UnbanArguments {
    /// The name of the limit or policy
    policy: String,

    /// The parts of the client's key, such as `ip=192.0.2.7`
    #[arg(required = true, value_name = "NAME=VALUE")]
    key: Vec<String>,

    #[command(flatten)]
    confirm: ConfirmArguments,

    #[command(flatten)]
    target: TargetArguments,
}

/// Parses the duration of a ban or an override.
pub(super) fn parse_length(text: &str) -> Result<Duration, String> {
    let range = Duration::from_secs(1)..=Duration::from_secs(90 * 86_400);
    let length = parse_window(text).ok().filter(|length| range.contains(length));
    length.ok_or_else(|| "expected a duration from 1s to 90d, such as \"10m\"".to_owned())
}

pub(crate) fn run(arguments: &BanArguments, output: &Output) -> Outcome {
    let BanArguments { policy, key, length, confirm, target } = arguments;
    let change = Change::new(target, policy, key)?;
    let action = format!("ban {} under `{policy}` for {}", change.key, duration(*length));
    let fields = json!({ "for_seconds": length.as_secs_f64() });
    let fields =
        change.run(confirm, &action, output, "ban", fields, async |redis, policy, key| {
            let left =
                redis.guard.ban(policy, key, *length).await.map_err(|error| failure(&error))?;
            Ok(json!({ "banned_for_seconds": left.as_secs_f64() }))
        })?;
    let Some(fields) = fields else { return Ok(Exit::Success) };
    let left = fields["banned_for_seconds"].as_f64().map_or_else(|| duration(*length), seconds);
    change.write(output, fields, &format!("{} is banned under `{policy}` for {left}", change.key))
}

pub(crate) fn run_unban(arguments: &UnbanArguments, output: &Output) -> Outcome {
    let UnbanArguments { policy, key, confirm, target } = arguments;
    let change = Change::new(target, policy, key)?;
    let action = format!("end the ban of {} under `{policy}`, and remove its offences", change.key);
    let fields =
        change.run(confirm, &action, output, "unban", json!({}), async |redis, policy, key| {
            redis
                .guard
                .unban(policy, key)
                .await
                .map(|()| json!({}))
                .map_err(|error| failure(&error))
        })?;
    let Some(fields) = fields else { return Ok(Exit::Success) };
    change.write(output, fields, &format!("{} is not banned under `{policy}`", change.key))
}

fn failure(error: &BanError) -> Failure {
    match error {
        BanError::Unavailable(unavailable) => failure_of(unavailable),
        BanError::Length => Failure::usage(error),
        error => Failure::problem(error),
    }
}
