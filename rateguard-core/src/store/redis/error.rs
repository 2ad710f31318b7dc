//! Converts errors of the Redis client library to [`StoreError`].

use std::{error::Error, io, sync::Arc};

use redis::{ErrorKind, RedisError};

use crate::{
    IoCause,
    store::{StoreError, server_error::cause},
};

/// Returns the [`StoreError`] for an error of the client library. The result does not contain the error text, because
/// servers quote arguments in error texts.
pub(super) fn classify(error: &RedisError) -> StoreError {
    match error.kind() {
        ErrorKind::Io if error.is_timeout() => StoreError::Timeout,
        ErrorKind::Io if error.is_connection_refusal() => StoreError::Unreachable(io_cause(error)),
        ErrorKind::Io => StoreError::Disconnected(io_cause(error)),
        ErrorKind::AuthenticationFailed => StoreError::Authentication,
        // The server does not have the command `HELLO`.
        ErrorKind::RESP3NotSupported => StoreError::UnknownCommand,
        _ => match error.code() {
            Some(code) => cause(code, error.detail()),
            None => StoreError::InvalidReply,
        },
    }
}

/// Returns the kind of the I/O error that caused `error`, or `None` if the cause is not an I/O error.
fn io_cause(error: &RedisError) -> Option<IoCause> {
    // The client library wraps its I/O errors in a reference-counted error, so the source is an `Arc<dyn Error>`.
    let source = error.source()?.downcast_ref::<Arc<dyn Error + Send + Sync>>()?;
    Some(source.downcast_ref::<io::Error>()?.into())
}

/// Returns true if a new connection may resolve the error. For example, the new connection may reach the new primary,
/// or an administrator may have created the missing user.
pub(super) fn needs_reconnect(cause: StoreError) -> bool {
    match cause {
        StoreError::Unreachable(_)
        | StoreError::Disconnected(_)
        | StoreError::Authentication
        | StoreError::NotReady(_)
        | StoreError::Database
        | StoreError::WrongServerKind
        | StoreError::NoPrimary => true,
        StoreError::Timeout
        | StoreError::Permission
        | StoreError::Busy
        | StoreError::OutOfMemory
        | StoreError::UnknownCommand
        | StoreError::Cluster
        | StoreError::CrossSlot
        | StoreError::Overloaded
        | StoreError::Throttled
        | StoreError::InvalidReply
        | StoreError::ForeignValue
        | StoreError::Closed
        | StoreError::Forked
        | StoreError::PausedClock
        | StoreError::Other(_) => false,
    }
}

/// Returns true if the cause is a command or a permission that the server lacks. Most likely, all checks fail with it.
pub(super) fn concerns_script(cause: StoreError) -> bool {
    matches!(cause, StoreError::Permission | StoreError::UnknownCommand)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause_of(line: &str) -> StoreError {
        let reply = format!("-{line}\r\n");
        let error = redis::parse_redis_value(reply.as_bytes())
            .and_then(redis::Value::extract_error)
            .expect_err("an error reply");
        classify(&error)
    }

    #[test]
    fn io_error_kind_is_the_source() {
        for (kind, expected) in [
            (io::ErrorKind::ConnectionRefused, StoreError::Unreachable(None)),
            (io::ErrorKind::BrokenPipe, StoreError::Disconnected(None)),
        ] {
            let cause = classify(&RedisError::from(io::Error::new(kind, "10.0.0.7:6379")));
            assert_eq!(cause, expected);
            let source = cause.source().and_then(|it| it.downcast_ref::<IoCause>());
            assert_eq!(source.map(|it| it.kind()), Some(kind));
        }
    }

    #[test]
    fn error_replies_are_classified() {
        for (line, expected) in [
            ("READONLY You can't write against a read only replica.", StoreError::NotReady(None)),
            (
                "ERR Error running script (call to f_0): @user_script:1: @user_script: 1: -READONLY You can't",
                StoreError::NotReady(None),
            ),
            (
                "ERR Error running script (call to f_0): @user_script:1: @user_script: 1: -OOM command not allowed",
                StoreError::OutOfMemory,
            ),
            ("OOM command not allowed when used memory > 'maxmemory'.", StoreError::OutOfMemory),
            ("LOADING Redis is loading the dataset in memory", StoreError::NotReady(None)),
            ("NOAUTH Authentication required.", StoreError::Authentication),
            ("NOPERM this user has no permissions", StoreError::Permission),
            (
                "ERR The user executing the script can't run this command or subcommand script: 7bd4",
                StoreError::Permission,
            ),
            (
                "ERR Error running script (call to f_0): @user_script:1: @user_script: 1: The user executing the script can't access at least one of the keys",
                StoreError::Permission,
            ),
            (
                "ERR ACL failure in script: User limiter has no permissions to run the 'zadd' command script: 7bd4",
                StoreError::Permission,
            ),
            ("BUSY Redis is busy running a script.", StoreError::Busy),
            ("MOVED 3999 127.0.0.1:6381", StoreError::Cluster),
            ("CROSSSLOT Keys in request don't hash to the same slot", StoreError::CrossSlot),
            ("WRONGTYPE Operation against a key", StoreError::ForeignValue),
            (
                "ERR unknown command 'EVALSHA', with args beginning with: 'abc' '0' ",
                StoreError::UnknownCommand,
            ),
            ("ERR unknown command `EVALSHA`", StoreError::UnknownCommand),
            (
                "ERR Unknown Redis command called from script script: aee2, on @user_script:58.",
                StoreError::UnknownCommand,
            ),
            (
                "ERR Error running script (call to f_0): @user_script:58: @user_script: 58: Unknown Redis command called from Lua script",
                StoreError::UnknownCommand,
            ),
            (
                "ERR Unknown command called from script script: aee2, on @user_script:58.",
                StoreError::UnknownCommand,
            ),
            ("ERR DB index is out of range", StoreError::Database),
            ("ERR SELECT is not allowed in cluster mode", StoreError::Cluster),
            ("ERR This instance has cluster support disabled", StoreError::WrongServerKind),
            ("DENIED Redis is running in protected mode", StoreError::Authentication),
            ("ERR syntax error", StoreError::InvalidReply),
            ("ERR", StoreError::InvalidReply),
        ] {
            assert_eq!(cause_of(line), expected, "{line}");
        }
    }
}
