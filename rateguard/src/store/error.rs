//! Why a store did not answer, in words of ours: what a server said never leaves the store.

use std::{error::Error, fmt};

/// Why a store did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreError {
    /// The deadline passed.
    Timeout,
    /// The server cannot be reached.
    Unreachable,
    /// The connection was lost.
    Disconnected,
    /// The server refused user or password.
    Authentication,
    /// The server does not let this user run the script or touch the key.
    Permission,
    /// The server does not take writes now: it is a replica, loads its data, or lacks replicas or a disk.
    NotReady,
    /// The server is busy with another script.
    Busy,
    /// The server has no memory left.
    OutOfMemory,
    /// The server is part of a cluster, and its URL is not that of one.
    Cluster,
    /// The store cannot decide on these keys in one step. A guard then asks for one key after the other.
    Apart,
    /// Too many checks of this process wait for the store, which is there. They are decided in memory.
    Overloaded,
    /// The server takes no more requests for now, as one does whose plan is used up.
    Throttled,
    /// The server answered something else than a decision.
    Unintelligible,
    /// The sentinels know no primary of this name.
    NoPrimary,
    /// The guard was closed.
    Closed,
}

impl StoreError {
    /// All of them, for a counter each.
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
        Self::Apart,
        Self::Overloaded,
        Self::Throttled,
        Self::Unintelligible,
        Self::NoPrimary,
        Self::Closed,
    ];
}

impl StoreError {
    /// Whether clients can cause this by load, while the store is there. Requests are then decided in memory, whatever the
    /// failure mode says: else a client could switch off its limits, or those of others.
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
            | Self::Apart
            | Self::Unintelligible
            | Self::NoPrimary
            | Self::Closed => false,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "no answer within the deadline",
            Self::Unreachable => "the server cannot be reached",
            Self::Disconnected => "the connection was lost",
            Self::Authentication => "the server refused user or password",
            Self::Permission => "the server does not permit the script or the key",
            Self::NotReady => {
                "the server takes no writes now (a replica, loading, or short of replicas or disk)"
            }
            Self::Busy => "the server is busy with another script",
            Self::OutOfMemory => "the server has no memory left",
            Self::Cluster => {
                "the server is part of a cluster, whose URL is redis+cluster://host:port,host:port"
            }
            Self::Apart => "the store cannot decide on these keys in one step",
            Self::Overloaded => "too many checks wait for the store",
            Self::Throttled => "the server takes no more requests for now, by a limit of its own",
            Self::Unintelligible => "the server answered something else than a decision",
            Self::NoPrimary => "the sentinels know no primary of the name in the URL",
            Self::Closed => "the guard was closed",
        })
    }
}

impl Error for StoreError {}
