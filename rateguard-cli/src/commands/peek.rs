//! Shows what one more request of a client would get, and counts nothing.

use clap::Args;
use serde_json::Value;

use super::report::{self, KeyReport};
use crate::{
    exit::{Exit, Failure, Outcome},
    output::Output,
    target::{KEY_HELP, KeyValues, RedisTarget, Server, Target, TargetArguments, failure_of},
};

const EXAMPLES: &str = "\
Examples:
  rateguard peek login ip=192.0.2.7 --server https://shop.example/operator
  rateguard peek search user=42 ip=192.0.2.7 --redis redis://127.0.0.1:6379 --prefix shop \\
    --policies rateguard.toml
  rateguard peek login ip=192.0.2.7 --redis redis://127.0.0.1:6379 --prefix shop \\
    --rate \"5/minute\" --exit-code";

/// Shows what one more request of a client would get, and counts nothing
#[derive(Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{KEY_HELP}"))]
pub(crate) struct PeekArguments {
    /// The name of the limit or policy
    policy: String,

    /// The parts of the client's key, such as `ip=192.0.2.7`
    #[arg(required = true, value_name = "NAME=VALUE")]
    key: Vec<String>,

    /// Exit with 1 if the request would be denied
    #[arg(long)]
    exit_code: bool,

    #[command(flatten)]
    target: TargetArguments,
}

pub(crate) fn run(arguments: &PeekArguments, output: &Output) -> Outcome {
    let report =
        key_report(&arguments.target, &arguments.policy, &KeyValues::parse(&arguments.key)?)?;
    if output.is_json() {
        output.json(&report.json())?;
    } else {
        report.write(output)?;
    }
    let is_denied = report.fields.passes == Some(false);
    Ok(if arguments.exit_code && is_denied { Exit::Problem } else { Exit::Success })
}

/// Reads the state of a key from the target.
pub(crate) fn key_report(
    target: &TargetArguments,
    policy: &str,
    key: &KeyValues,
) -> Result<KeyReport, Failure> {
    let fields = match target.open()? {
        Target::Server(server) => explain(&server, policy, key)?,
        Target::Redis(redis) => peek(&redis, target, policy, key)?,
    };
    KeyReport::new(policy, key, fields)
}

/// Returns the fields of `POST explain`.
fn explain(server: &Server, policy: &str, key: &KeyValues) -> Result<Value, Failure> {
    server.post("explain", &server.selector(policy, key)?)
}

/// Returns the same fields from the counts in Redis.
fn peek(
    redis: &RedisTarget,
    target: &TargetArguments,
    policy: &str,
    values: &KeyValues,
) -> Result<Value, Failure> {
    let target = target.policy(policy)?;
    let key = target.key_of(values, &redis.guard)?;
    let mut fields = match target.listed(values.address(), &key) {
        Some(listed) => report::listed(&listed),
        None => report::decision(&redis.run(async {
            // Without the overrides, the report would show the quotas of the policy.
            let overrides = redis.guard.load_overrides().await;
            overrides.map_err(|error| report::override_failure(&error))?;
            let request = redis.guard.request(&target.policy, &key);
            request.peek().await.map_err(|unavailable| failure_of(&unavailable))
        })?),
    };
    fields["is_in_shadow"] = target.policy.is_in_shadow().into();
    fields["is_rolled_out"] = redis.guard.is_rolled_out(&target.policy, &key).into();
    fields["is_overridden"] = redis.guard.override_of(&target.policy, &key).is_some().into();
    Ok(fields)
}
