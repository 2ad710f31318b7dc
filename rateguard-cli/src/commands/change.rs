//! A change of one key: it asks the user, then changes the key through the server or in Redis.

use actix_rateguard_core::{Key, Policy};
use serde_json::Value;

use super::confirm::{ConfirmArguments, confirm};
use crate::{
    exit::{Exit, Failure, Outcome},
    output::{Output, Style},
    target::{KeyValues, RedisTarget, Target, TargetArguments},
};

/// A change of one key.
pub(super) struct Change<'a> {
    target: &'a TargetArguments,
    policy: &'a str,
    pub(super) key: KeyValues,
}

impl<'a> Change<'a> {
    pub(super) fn new(
        target: &'a TargetArguments,
        policy: &'a str,
        key: &[String],
    ) -> Result<Self, Failure> {
        Ok(Self { target, policy, key: KeyValues::parse(key)? })
    }

    /// Asks the user, and changes the key. `endpoint` and `fields` are the operator endpoint and the fields of its
    /// body beside the key. `in_redis` does the same in Redis, and returns the same fields as the endpoint.
    ///
    /// Returns the fields of the endpoint, or `None` if the user wanted no change.
    pub(super) fn run(
        &self,
        arguments: &ConfirmArguments,
        action: &str,
        output: &Output,
        endpoint: &str,
        fields: Value,
        in_redis: impl AsyncFnOnce(&RedisTarget, &Policy, &Key) -> Result<Value, Failure>,
    ) -> Result<Option<Value>, Failure> {
        let target = self.target.open()?;
        match target {
            Target::Server(server) => {
                // A wrong token is reported before the question.
                let mut body = server.selector(self.policy, &self.key)?;
                if !confirm(arguments, action, output)? {
                    return Ok(None);
                }
                extend(&mut body, fields);
                server.post(endpoint, &body).map(Some)
            }
            Target::Redis(redis) => {
                // An invalid key or policy is reported before the question.
                let policy = self.target.policy(self.policy)?;
                let key = policy.key_of(&self.key, &redis.guard)?;
                if !confirm(arguments, action, output)? {
                    return Ok(None);
                }
                redis.run(in_redis(&redis, &policy.policy, &key)).map(Some)
            }
        }
    }

    /// Writes the result of the change.
    pub(super) fn write(&self, output: &Output, mut fields: Value, text: &str) -> Outcome {
        if output.is_json() {
            fields["version"] = 1.into();
            fields["policy"] = self.policy.into();
            fields["key_text"] = self.key.to_string().into();
            output.json(&fields)?;
        } else {
            output.line(Style::Good, text)?;
        }
        Ok(Exit::Success)
    }
}

fn extend(body: &mut Value, fields: Value) {
    if let (Value::Object(body), Value::Object(fields)) = (body, fields) {
        body.extend(fields);
    }
}
