//! Tests whether a server runs the script for keys with the prefix of the guard. The test follows the connection, so an
//! operator learns of a missing command or permission at the start of the application, before the first check.

use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, aio::MultiplexedConnection};

use super::error::classify;
use crate::{
    Key, StoreError,
    policy::PLACEHOLDER_QUOTA,
    store::{
        Bucket, BucketRequest, Operation,
        log_encoding::LogEncoding,
        script::{Argument, Batch, ScriptBy, ScriptCommand, ScriptRequest},
    },
};

/// The permissions of the minimum ACL for a server that is not part of a cluster.
const PERMISSIONS: &str =
    "+evalsha +eval +time +type +del +pexpire +pttl +getrange +setrange +set +append +strlen +role";

/// The commands whose names an error text may contain. A name in a message comes from this list, and never from the
/// text, because a server may quote keys in its texts.
const COMMANDS: [&str; 19] = [
    "EVALSHA",
    "EVAL",
    "TIME",
    "TYPE",
    "DEL",
    "PEXPIRE",
    "PTTL",
    "GETRANGE",
    "SETRANGE",
    "SET",
    "APPEND",
    "STRLEN",
    "ZADD",
    "ZCOUNT",
    "ZRANGE",
    "ZRANGEBYSCORE",
    "ZREM",
    "ZREMRANGEBYSCORE",
    "ZSCORE",
];

/// The request that the test sends. It reads the bucket of a key that no check uses, and writes nothing.
pub(super) struct ScriptTest {
    prefix: String,
    request: ScriptRequest,
}

/// The reason why a server cannot run the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ScriptFailure {
    pub(super) cause: StoreError,
    /// The text for the log: it says which command or permission is missing, and how the operator adds it.
    pub(super) reason: String,
}

/// The result of a test.
pub(super) struct TestResult {
    pub(super) failure: Option<ScriptFailure>,
    /// Whether the user has no permission for `ROLE`, with which the guard detects a replica.
    pub(super) is_role_denied: bool,
}

impl ScriptTest {
    pub(super) fn new(prefix: &str, log: LogEncoding) -> Self {
        let key = Key::global();
        let bucket = Bucket::new("rateguard-connection-test", 0, &key);
        let request = BucketRequest::new(bucket, PLACEHOLDER_QUOTA, 1);
        let request = ScriptRequest::new(prefix, log, Operation::Peek, &[request]);
        Self { prefix: prefix.to_owned(), request }
    }

    /// Tests the server. Errors that do not concern the script itself are ignored, because heartbeats and checks report
    /// them.
    pub(super) async fn run(
        &self,
        script: &ScriptCommand,
        connection: &MultiplexedConnection,
    ) -> TestResult {
        let mut connection = connection.clone();
        let mut commands = redis::pipe();
        commands.cmd("ROLE").cmd("TIME");
        let replies = connection.send_packed_commands(&commands, 0, 2).await.unwrap_or_default();
        let mut is_denied = replies.into_iter().map(|reply| {
            let error = reply.extract_error().err();
            error.is_some_and(|error| classify(&error) == StoreError::Permission)
        });
        let is_role_denied = is_denied.next() == Some(true);
        let is_time_denied = is_denied.next() == Some(true);

        let batch = script.batch(&[(&self.request, 0)], || 0);
        let mut error = run_batch(script, &mut connection, &batch).await.err();
        if error.as_ref().is_some_and(|error| classify(error) == StoreError::Cluster) {
            // Another node of the cluster serves the key. A batch without a key runs on every node.
            let batch = script.batch(&[], || 0);
            error = run_batch(script, &mut connection, &batch).await.err();
        }
        let failure = error.and_then(|error| self.failure(&error, is_time_denied));
        TestResult { failure, is_role_denied }
    }

    fn failure(&self, error: &RedisError, is_time_denied: bool) -> Option<ScriptFailure> {
        let cause = classify(error);
        let text = error.detail().unwrap_or_default();
        let named = quoted_command(text);
        let prefix = &self.prefix;
        let reason = match cause {
            StoreError::Permission => {
                // Up to version 7.0 of Redis, an error of a command in the script does not name the command.
                let command = named.or(is_time_denied.then_some("TIME"));
                match command {
                    Some(command) => format!(
                        "the user has no permission for the command {command}; add `+{}` to its ACL",
                        command.to_lowercase()
                    ),
                    None if text.contains("key") => format!(
                        "the user has no permission for keys with the prefix `{prefix}`; add `~{prefix}:*` to its ACL"
                    ),
                    None => format!(
                        "the user has no permission for a command of the script; compare its ACL with `~{prefix}:* {PERMISSIONS}`"
                    ),
                }
            }
            StoreError::UnknownCommand => match named {
                Some(command) => format!(
                    "the server lacks the command {command}; enable it, or connect to Redis without the proxy that rejects it"
                ),
                None => cause.to_string(),
            },
            _ => return None,
        };
        Some(ScriptFailure { cause, reason })
    }
}

async fn run_batch(
    script: &ScriptCommand,
    connection: &mut MultiplexedConnection,
    batch: &Batch<'_>,
) -> Result<(), RedisError> {
    for by in [ScriptBy::Hash, ScriptBy::Source] {
        let mut command = Cmd::new();
        // With this encoding, an error for a key is the error of the whole call.
        script.write(batch, by, "numbers", |argument| {
            match argument {
                Argument::Text(text) => command.arg(text),
                Argument::Number(number) => command.arg(number),
            };
        });
        match command.query_async::<redis::Value>(connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {}
            result => return result.map(|_| ()),
        }
    }
    Ok(())
}

/// Returns the command that an error text names in quotation marks. Other words in quotation marks are ignored.
fn quoted_command(text: &str) -> Option<&'static str> {
    let word = text.split(['\'', '`', '"']).nth(1)?;
    COMMANDS.into_iter().find(|command| command.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(line: &str, is_time_denied: bool) -> Option<String> {
        let reply = format!("-{line}\r\n");
        let error = redis::parse_redis_value(reply.as_bytes())
            .and_then(redis::Value::extract_error)
            .expect_err("an error reply");
        let test = ScriptTest::new("shop", LogEncoding::Packed);
        test.failure(&error, is_time_denied).map(|failure| failure.reason)
    }

    #[test]
    fn reason_names_the_command_or_the_keys() {
        let old =
            "ERR The user executing the script can't run this command or subcommand script: 7bd4";
        for (line, is_time_denied, expected) in [
            (
                "NOPERM this user has no permissions to run the 'evalsha' command or its subcommand",
                false,
                "for the command EVALSHA; add `+evalsha`",
            ),
            (
                "NOPERM User limiter has no permissions to run the 'eval' command",
                false,
                "for the command EVAL; add `+eval`",
            ),
            (
                "ERR ACL failure in script: User limiter has no permissions to run the 'pttl' command script: 7bd4",
                false,
                "for the command PTTL; add `+pttl`",
            ),
            (old, true, "for the command TIME; add `+time`"),
            (old, false, "compare its ACL with `~shop:* +evalsha"),
            ("NOPERM No permissions to access a key", false, "add `~shop:*` to its ACL"),
            (
                "NOPERM this user has no permissions to access one of the keys used as arguments",
                false,
                "add `~shop:*` to its ACL",
            ),
            (
                "ERR unknown command 'EVALSHA', with args beginning with: 'secret' ",
                false,
                "lacks the command EVALSHA",
            ),
            ("ERR unknown command 'secret'", false, "lacks a command that RateGuard needs"),
        ] {
            let reason = reason(line, is_time_denied).unwrap();
            assert!(reason.contains(expected) && !reason.contains("secret"), "{line}: {reason}");
        }
    }

    #[test]
    fn other_errors_are_left_to_heartbeats_and_checks() {
        for line in ["LOADING Redis is loading", "OOM command not allowed", "MOVED 1 127.0.0.1:1"] {
            assert_eq!(reason(line, false), None, "{line}");
        }
    }
}
