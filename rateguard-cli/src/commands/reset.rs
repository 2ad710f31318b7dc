//! Deletes the counts of a key.

use clap::Args;
use serde_json::json;

use super::{change::Change, confirm::ConfirmArguments};
use crate::{
    exit::{Exit, Outcome},
    output::Output,
    target::{KEY_HELP, TargetArguments, failure_of},
};

const EXAMPLES: &str = "\
Examples:
  rateguard reset login ip=192.0.2.7 --server https://shop.example/operator
  rateguard reset login ip=192.0.2.7 --redis redis://127.0.0.1:6379 --prefix shop \\
    --policies rateguard.toml --yes";

/// Deletes the counts of a key, and ends its ban
#[derive(Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{KEY_HELP}"))]
pub(crate) struct ResetArguments {
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

pub(crate) fn run(arguments: &ResetArguments, output: &Output) -> Outcome {
    let ResetArguments { policy, key, confirm, target } = arguments;
    let change = Change::new(target, policy, key)?;
    let action = format!("delete the counts of {} under `{policy}`, and end its ban", change.key);
    let fields =
        change.run(confirm, &action, output, "reset", json!({}), async |redis, policy, key| {
            let result = redis.guard.reset(policy, key).await;
            result.map(|()| json!({})).map_err(|unavailable| failure_of(&unavailable))
        })?;
    let Some(fields) = fields else { return Ok(Exit::Success) };
    change.write(output, fields, &format!("deleted the counts of {} under `{policy}`", change.key))
}
