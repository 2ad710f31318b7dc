//! What redis-rs reports, in our words.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::StoreError;

/// Which of our causes this is. Nothing of the error's text is kept: servers quote arguments in it.
pub(super) fn classify(error: &RedisError) -> StoreError {
    match error.kind() {
        ErrorKind::Io if error.is_timeout() => StoreError::Timeout,
        ErrorKind::Io if error.is_connection_refusal() => StoreError::Unreachable,
        ErrorKind::Io => StoreError::Disconnected,
        ErrorKind::AuthenticationFailed => StoreError::Authentication,
        ErrorKind::Server(kind) => server(kind, error),
        // Codes that redis-rs has no name for.
        ErrorKind::Extension => code(error),
        _ => StoreError::Unintelligible,
    }
}

fn server(kind: ServerErrorKind, error: &RedisError) -> StoreError {
    match kind {
        ServerErrorKind::BusyLoading
        | ServerErrorKind::MasterDown
        | ServerErrorKind::ReadOnly
        | ServerErrorKind::TryAgain => StoreError::NotReady,
        ServerErrorKind::ClusterDown
        | ServerErrorKind::CrossSlot
        | ServerErrorKind::Moved
        | ServerErrorKind::Ask => StoreError::Cluster,
        ServerErrorKind::NoPerm => StoreError::Permission,
        _ => code(error),
    }
}

fn code(error: &RedisError) -> StoreError {
    match error.code() {
        Some("NOAUTH" | "WRONGPASS") => StoreError::Authentication,
        Some("NOREPLICAS" | "MISCONF") => StoreError::NotReady,
        Some("BUSY") => StoreError::Busy,
        Some("OOM") => StoreError::OutOfMemory,
        _ => StoreError::Unintelligible,
    }
}

/// Whether a new connection may help: to a server that is there, that is the primary, that knows the user.
pub(super) fn calls_for_a_new_connection(cause: StoreError) -> bool {
    match cause {
        StoreError::Unreachable
        | StoreError::Disconnected
        | StoreError::Authentication
        | StoreError::NotReady => true,
        StoreError::Timeout
        | StoreError::Permission
        | StoreError::Busy
        | StoreError::OutOfMemory
        | StoreError::Cluster
        | StoreError::Unintelligible => false,
    }
}
