//! Calls the script.

use std::time::Duration;

use redis::{Cmd, ErrorKind, RedisResult, Script, ServerErrorKind, aio::MultiplexedConnection};

use crate::{Decision, Quota, algorithm::SCRIPT};

pub(super) struct Decide {
    /// The SHA-1 of the source, by which the server knows a script that it has run before.
    hash: String,
}

/// Admitted, remaining, microseconds to reset, microseconds to retry.
type Reply = (u8, u32, u64, u64);

impl Decide {
    pub(super) fn new() -> Self {
        Self { hash: Script::new(SCRIPT).get_hash().to_owned() }
    }

    pub(super) async fn call(
        &self,
        connection: &mut MultiplexedConnection,
        key: &str,
        quota: Quota,
        member: &str,
    ) -> RedisResult<Decision> {
        let (units, refill) = quota.token();
        let call = |command: &str, script: &str| {
            let mut command: Cmd = redis::cmd(command);
            command
                .arg(script)
                .arg(1)
                .arg(key)
                .arg(quota.algorithm().name())
                .arg(member)
                .arg(quota.window().as_micros() as u64)
                .arg(quota.capacity())
                .arg(units)
                .arg(refill);
            let mut connection = connection.clone();
            async move { command.query_async::<Reply>(&mut connection).await }
        };
        let reply = match call("EVALSHA", &self.hash).await {
            // The server has forgotten the script, or never seen it. `EVAL` runs it and makes it known again.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                call("EVAL", SCRIPT).await?
            }
            reply => reply?,
        };
        decision(quota, reply)
    }
}

/// Reads the reply, and takes nothing for granted that a proxy may have made of it.
fn decision(quota: Quota, reply: Reply) -> RedisResult<Decision> {
    match reply {
        (1, remaining, reset, 0) if remaining < quota.capacity() => {
            Ok(Decision::allowed(quota, remaining, Duration::from_micros(reset)))
        }
        (0, 0, reset, retry @ 1..) if reset == retry => {
            Ok(Decision::denied(quota, Duration::from_micros(retry)))
        }
        _ => Err((ErrorKind::UnexpectedReturnType, "not a decision").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_decision_is_taken_for_one() {
        let quota: Quota = "5/minute".parse().unwrap();
        let minute = 60_000_000;
        for reply in [(1, 4, minute, 0), (1, 0, 1, 0), (0, 0, minute, minute), (0, 0, 1, 1)] {
            assert!(decision(quota, reply).is_ok(), "{reply:?}");
        }
        for reply in [
            (1, 5, minute, 0),
            (1, 4, minute, 1),
            (0, 1, minute, minute),
            (0, 0, minute, 0),
            (2, 4, minute, 0),
        ] {
            assert!(decision(quota, reply).is_err(), "{reply:?}");
        }
    }
}
