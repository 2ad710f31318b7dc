//! The error of a store operation. The error does not contain the text of a server, because a server may quote keys and
//! passwords.

use std::{error::Error, fmt};

/// The reason why a store operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreError {
    /// The store did not reply within the deadline.
    Timeout,
    /// The server cannot be reached.
    Unreachable,
    /// The connection was lost.
    Disconnected,
    /// The server rejected the user or the password.
    Authentication,
    /// The user has no permission to run the script or to access the key.
    Permission,
    /// The server accepts no writes now: the server is a replica, loads its data, has too few replicas, or cannot write
    /// to disk.
    NotReady,
    /// The server is busy with another script.
    Busy,
    /// The server has no memory left.
    OutOfMemory,
    /// The server is part of a cluster, but the URL is not a `redis+cluster://` URL.
    Cluster,
    /// The store cannot apply one operation to all of these keys atomically. The guard then sends one operation for
    /// each key.
    CrossSlot,
    /// Too many checks of this process wait for the store, although the store replies. The guard decides these checks
    /// in memory.
    Overloaded,
    /// The client exceeds the server's own rate limit, for example the quota of an Upstash plan.
    Throttled,
    /// The reply of the server is not a valid decision.
    InvalidReply,
    /// The sentinels monitor no primary with the name in the URL.
    NoPrimary,
    /// The guard is closed.
    Closed,
}

impl StoreError {
    /// All values. The metrics, for example, have one counter for each value.
    pub(crate) const ALL: [Self; 15] = [
        Self::Timeout,
        Self::Unreachable,
        Self::Disconnected,
        Self::Authentication,
        Self::Permission,
        Self::NotReady,
        Self::Busy,
        Self::OutOfMemory,
        Self::Cluster,
        Self::CrossSlot,
        Self::Overloaded,
        Self::Throttled,
        Self::InvalidReply,
        Self::NoPrimary,
        Self::Closed,
    ];
}

impl StoreError {
    /// Whether clients can cause this error if they send many requests to an available store.
    ///
    /// After such an error, the guard decides requests in memory, for every failure mode. Otherwise a client could
    /// cause the error to disable its own limits, or to deny service to others.
    pub(crate) fn is_caused_by_load(self) -> bool {
        match self {
            Self::Overloaded | Self::Busy | Self::OutOfMemory | Self::Throttled => true,
            Self::Timeout
            | Self::Unreachable
            | Self::Disconnected
            | Self::Authentication
            | Self::Permission
            | Self::NotReady
            | Self::Cluster
            | Self::CrossSlot
            | Self::InvalidReply
            | Self::NoPrimary
            | Self::Closed => false,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "no reply within the deadline",
            Self::Unreachable => "the server cannot be reached",
            Self::Disconnected => "the connection was lost",
            Self::Authentication => "the server rejected the user or the password",
            Self::Permission => "the user has no permission to run the script or to access the key",
            Self::NotReady => {
                "the server accepts no writes now (replica, loading, too few replicas, or disk error)"
            }
            Self::Busy => "the server is busy with another script",
            Self::OutOfMemory => "the server has no memory left",
            Self::Cluster => {
                "the server is part of a cluster; use a URL redis+cluster://host:port,host:port"
            }
            Self::CrossSlot => "the store cannot decide these keys in one atomic step",
            Self::Overloaded => "too many checks wait for the store",
            Self::Throttled => "the server's own rate limit is exceeded",
            Self::InvalidReply => "the reply of the server is not a valid decision",
            Self::NoPrimary => "the sentinels monitor no primary with the name in the URL",
            Self::Closed => "the guard is closed",
        })
    }
}

impl Error for StoreError {}
