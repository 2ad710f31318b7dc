//! Tests a connection with heartbeats.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use redis::Value;
use tokio::time::timeout;

use super::{
    error::{classify, needs_reconnect},
    link_state::ActiveConnection,
};
use crate::store::{StoreError, error::NotReadyCause};

/// Sends `ROLE` and `TIME`. Tests that the server replies within this deadline, and that it is neither a replica nor a
/// sentinel. Also records the time of the server. The Redis user may lack the permission for these commands, so most
/// error replies are also accepted. The test fails only for an error that needs a new connection.
pub(super) async fn heartbeat(
    active: &ActiveConnection,
    deadline: Duration,
) -> Result<(), StoreError> {
    let mut connection = active.connection.clone();
    let mut commands = redis::pipe();
    commands.cmd("ROLE").cmd("TIME");
    let sent = Instant::now();
    let mut request = pin!(connection.send_packed_commands(&commands, 0, 2));
    let mut replies = timeout(deadline, &mut request).await;
    if replies.is_err() && sent.elapsed() > deadline * 5 / 4 {
        // This thread was stalled, so some replies may have arrived that it has not read yet. Wait once more.
        replies = timeout(deadline, request).await;
    }
    let Ok(replies) = replies else { return Err(StoreError::Timeout) };
    let replies = replies.map_err(|error| classify(&error))?;
    for reply in replies {
        match reply.extract_error() {
            Ok(role) if has_role(&role, &["slave", "replica"]) => {
                return Err(StoreError::NotReady(Some(NotReadyCause::Replica)));
            }
            Ok(role) if has_role(&role, &["sentinel"]) => {
                return Err(StoreError::WrongServerKind);
            }
            Ok(time) => {
                if let Some(now) = parse_time(&time) {
                    active.clock.record_reply(now, sent, false);
                }
            }
            Err(error) => {
                let cause = classify(&error);
                if needs_reconnect(cause) {
                    return Err(cause);
                }
            }
        }
    }
    Ok(())
}

/// Returns true if the reply to the command `ROLE` begins with one of these names.
fn has_role(reply: &Value, names: &[&str]) -> bool {
    let Value::Array(reply) = reply else { return false };
    let name = match reply.first() {
        Some(Value::BulkString(name)) => name.as_slice(),
        Some(Value::SimpleString(name)) => name.as_bytes(),
        _ => b"",
    };
    names.iter().any(|it| it.as_bytes() == name)
}

/// Converts the reply to the command `TIME` into microseconds since 1970.
fn parse_time(time: &Value) -> Option<i64> {
    let Value::Array(time) = time else { return None };
    let [seconds, micros] = time.as_slice() else { return None };
    let read = |value: &Value| redis::from_redis_value_ref::<i64>(value).ok();
    read(seconds)?.checked_mul(1_000_000)?.checked_add(read(micros)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Value {
        Value::Array(texts.iter().map(|it| Value::BulkString(it.as_bytes().to_vec())).collect())
    }

    #[test]
    fn heartbeat_replies_are_parsed() {
        let replica = ["slave", "replica"];
        assert!(has_role(&texts(&["slave", "127.0.0.1"]), &replica));
        assert!(!has_role(&texts(&["master", "0"]), &replica));
        assert!(has_role(&texts(&["sentinel"]), &["sentinel"]));
        assert!(!has_role(&Value::Nil, &replica));
        assert_eq!(parse_time(&texts(&["1700000000", "42"])), Some(1_700_000_000_000_042));
        assert_eq!(parse_time(&texts(&["master", "0"])), None);
        assert_eq!(parse_time(&Value::Nil), None);
    }
}
