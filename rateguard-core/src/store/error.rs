//! Defines the error of a store operation. The error never contains text from a server, because a server may quote
//! keys and passwords in its texts.

use std::{
    error::Error,
    fmt,
    hash::{Hash, Hasher},
    io,
};

/// The reason why a store operation failed.
///
/// Two errors are equal if they have the same variant. For [`Other`](Self::Other), the texts must also be equal.
/// Comparisons ignore the [`IoCause`], so `cause == StoreError::Unreachable(None)` is true for each kind of I/O
/// error. To get the [`IoCause`], call [`source`](Error::source).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// The store did not reply within the deadline.
    Timeout,
    /// The server cannot be reached. The value is the kind of the I/O error, if there was an I/O error.
    Unreachable(Option<IoCause>),
    /// The connection was lost. The value is the kind of the I/O error, if there was an I/O error.
    Disconnected(Option<IoCause>),
    /// The server rejected the user or the password.
    Authentication,
    /// The user has no permission to run the script or to access the key.
    Permission,
    /// The server currently accepts no writes. The value is the reason, if the server has sent a reason.
    NotReady(Option<NotReadyCause>),
    /// The server is busy because it runs another script.
    Busy,
    /// The server has no memory left.
    OutOfMemory,
    /// The server does not have a command that the guard needs. For example, the settings of the server rename or
    /// disable `EVALSHA`, or a proxy in front of the server does not support scripts.
    UnknownCommand,
    /// The server does not have the database with the number in the URL.
    Database,
    /// The server is a node of a Redis Cluster, but the URL does not begin with `redis+cluster://`.
    Cluster,
    /// The server is not of the kind that the scheme of the URL selects. For example, the URL is a `redis+cluster://`
    /// URL, and the server does not run in cluster mode.
    WrongServerKind,
    /// The store cannot apply one operation to all keys of a request atomically. The guard then sends a separate
    /// operation for each key.
    CrossSlot,
    /// Too many checks of this process wait for the store, although the store replies. The guard decides these checks
    /// in memory.
    Overloaded,
    /// This client has exceeded a rate limit of the server, for example the quota of an Upstash plan.
    Throttled,
    /// The reply of the server is not a valid decision.
    InvalidReply,
    /// A key with the prefix of the guard holds a value that RateGuard did not write. Most likely, another application
    /// uses the same prefix.
    ForeignValue,
    /// The sentinels monitor no primary under the service name in the URL.
    NoPrimary,
    /// The guard is closed.
    Closed,
    /// The process was forked after the guard was built. The thread for the connection exists only in the parent
    /// process, so a child process must build its own guard.
    Forked,
    /// The clock of the async runtime is paused (`tokio::time::pause`), so the deadline expired before the server had
    /// any time to reply.
    PausedClock,
    /// A custom [`Store`](crate::store::Store) failed for a reason that no other variant describes. The text
    /// describes the reason, for example `"the table is locked"`. The text is a constant, so it cannot contain keys
    /// or passwords.
    Other(&'static str),
}

impl StoreError {
    /// All variants of this error. For example, the metrics have one counter for each variant.
    pub(crate) const ALL: [Self; 22] = [
        Self::Timeout,
        Self::Unreachable(None),
        Self::Disconnected(None),
        Self::Authentication,
        Self::Permission,
        Self::NotReady(None),
        Self::Busy,
        Self::OutOfMemory,
        Self::UnknownCommand,
        Self::Database,
        Self::Cluster,
        Self::WrongServerKind,
        Self::CrossSlot,
        Self::Overloaded,
        Self::Throttled,
        Self::InvalidReply,
        Self::NoPrimary,
        Self::Closed,
        Self::Forked,
        Self::PausedClock,
        Self::ForeignValue,
        Self::Other(""),
    ];

    /// Returns the name of the error, such as `cross_slot`. Metrics, traces and the JSON of an HTTP adapter contain
    /// this name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unreachable(_) => "unreachable",
            Self::Disconnected(_) => "disconnected",
            Self::Authentication => "authentication",
            Self::Permission => "permission",
            Self::NotReady(_) => "not_ready",
            Self::Busy => "busy",
            Self::OutOfMemory => "out_of_memory",
            Self::UnknownCommand => "unknown_command",
            Self::Database => "database",
            Self::Cluster => "cluster",
            Self::WrongServerKind => "wrong_server_kind",
            Self::CrossSlot => "cross_slot",
            Self::Overloaded => "overloaded",
            Self::Throttled => "throttled",
            Self::InvalidReply => "invalid_reply",
            Self::NoPrimary => "no_primary",
            Self::Closed => "closed",
            Self::Forked => "forked",
            Self::PausedClock => "paused_clock",
            Self::ForeignValue => "foreign_value",
            Self::Other(_) => "other",
        }
    }

    /// Returns the index of the variant in [`ALL`](Self::ALL).
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Timeout => 0,
            Self::Unreachable(_) => 1,
            Self::Disconnected(_) => 2,
            Self::Authentication => 3,
            Self::Permission => 4,
            Self::NotReady(_) => 5,
            Self::Busy => 6,
            Self::OutOfMemory => 7,
            Self::UnknownCommand => 8,
            Self::Database => 9,
            Self::Cluster => 10,
            Self::WrongServerKind => 11,
            Self::CrossSlot => 12,
            Self::Overloaded => 13,
            Self::Throttled => 14,
            Self::InvalidReply => 15,
            Self::NoPrimary => 16,
            Self::Closed => 17,
            Self::Forked => 18,
            Self::PausedClock => 19,
            Self::ForeignValue => 20,
            Self::Other(_) => 21,
        }
    }

    /// Returns true if clients can cause this error by sending many requests, although the store is available.
    ///
    /// After such an error, the guard decides requests in memory, whatever the failure mode of the policy is.
    /// Otherwise a client could cause this error on purpose to disable its own limits, or to deny service to other
    /// clients.
    pub(crate) fn is_caused_by_load(self) -> bool {
        match self {
            Self::Overloaded | Self::Busy | Self::OutOfMemory | Self::Throttled => true,
            Self::Timeout
            | Self::Unreachable(_)
            | Self::Disconnected(_)
            | Self::Authentication
            | Self::Permission
            | Self::NotReady(_)
            | Self::UnknownCommand
            | Self::Database
            | Self::Cluster
            | Self::WrongServerKind
            | Self::CrossSlot
            | Self::InvalidReply
            | Self::ForeignValue
            | Self::NoPrimary
            | Self::Closed
            | Self::Forked
            | Self::PausedClock
            | Self::Other(_) => false,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "no reply within the deadline",
            Self::Unreachable(_) => "the server cannot be reached",
            Self::Disconnected(_) => "the connection was lost",
            Self::Authentication => {
                "the server rejected the user or the password, or requires a password that is missing"
            }
            Self::Permission => "the user has no permission to run the script or to access the key",
            Self::NotReady(None) => "the server accepts no writes now",
            Self::NotReady(Some(cause)) => {
                return write!(f, "the server accepts no writes now: {cause}");
            }
            Self::Busy => "the server is busy with another script",
            Self::OutOfMemory => "the server has no memory left",
            Self::UnknownCommand => {
                "the server lacks a command that RateGuard needs; enable EVALSHA, EVAL and the commands of the script, such as TIME"
            }
            Self::Database => "the server has no database with the number in the URL",
            Self::Cluster => {
                "the server is part of a cluster; use a URL redis+cluster://host:port,host:port"
            }
            Self::WrongServerKind => {
                "the server is not of the kind in the URL; use redis:// for a single server, redis+cluster:// for a cluster, and redis+sentinel:// for sentinels"
            }
            Self::CrossSlot => "the store cannot decide these keys in one atomic step",
            Self::Overloaded => "too many checks wait for the store",
            Self::Throttled => "the server's own rate limit is exceeded",
            Self::InvalidReply => "the reply of the server is not a valid decision",
            Self::ForeignValue => {
                "the key holds a value that RateGuard did not write; check that no other application uses the prefix of the guard"
            }
            Self::NoPrimary => "the sentinels monitor no primary with the name in the URL",
            Self::Closed => "the guard is closed",
            Self::Forked => {
                "the process was forked after the guard was built; build a guard in each child process"
            }
            Self::PausedClock => {
                "the clock of tokio is paused, so the deadline expired before the server could reply; do not pause the clock while a server is used"
            }
            Self::Other(reason) => reason,
        })
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unreachable(Some(cause)) | Self::Disconnected(Some(cause)) => Some(cause),
            _ => None,
        }
    }
}

impl PartialEq for StoreError {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Other(one), Self::Other(other)) => one == other,
            _ => self.index() == other.index(),
        }
    }
}

impl Eq for StoreError {}

impl Hash for StoreError {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Equal errors have the same index, so their hashes are also equal. The text of `Other` is not hashed,
        // because few errors have this variant.
        self.index().hash(state);
    }
}

/// The reason why a server accepts no writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotReadyCause {
    /// The server is a replica.
    Replica,
    /// The server loads its data from disk or from its primary.
    Loading,
    /// The server has fewer replicas than its setting `min-replicas-to-write`.
    TooFewReplicas,
    /// The server failed to save its data to disk.
    DiskError,
    /// The server is a replica without a connection to its primary.
    PrimaryDown,
}

impl fmt::Display for NotReadyCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replica => "it is a replica; use the address of the primary, or sentinels",
            Self::Loading => "it loads its data; wait until it has loaded them",
            Self::TooFewReplicas => {
                "it has fewer replicas than its setting `min-replicas-to-write`; check its replicas"
            }
            Self::DiskError => {
                "it failed to save its data to disk; check its disk and its log (MISCONF)"
            }
            Self::PrimaryDown => {
                "it is a replica that has lost its primary; use the address of the primary, or sentinels"
            }
        })
    }
}

/// The kind of the I/O error that caused a [`StoreError`]. The value contains no text from the server, and no
/// address.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct IoCause {
    kind: io::ErrorKind,
    /// Whether the host name could not be resolved. The standard library has no kind for this error.
    is_unresolved: bool,
}

impl IoCause {
    /// Returns the kind of the I/O error.
    #[must_use]
    pub fn kind(self) -> io::ErrorKind {
        self.kind
    }
}

/// Formats the cause as one word, like [`io::ErrorKind`].
impl fmt::Debug for IoCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_unresolved {
            f.write_str("UnresolvedHost")
        } else {
            fmt::Debug::fmt(&self.kind, f)
        }
    }
}

impl From<io::ErrorKind> for IoCause {
    fn from(kind: io::ErrorKind) -> Self {
        Self { kind, is_unresolved: false }
    }
}

impl From<&io::Error> for IoCause {
    fn from(error: &io::Error) -> Self {
        // The standard library begins the text of such an error with these words, on all systems with `getaddrinfo`.
        let is_unresolved = error.to_string().starts_with("failed to lookup address information");
        Self { kind: error.kind(), is_unresolved }
    }
}

impl fmt::Display for IoCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            _ if self.is_unresolved => f.write_str("the host name cannot be resolved"),
            io::ErrorKind::NotFound => f.write_str("no such file or socket"),
            io::ErrorKind::PermissionDenied => f.write_str("no permission"),
            kind => kind.fmt(f),
        }
    }
}

impl Error for IoCause {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_is_the_io_error_kind_and_comparisons_ignore_it() {
        let error = StoreError::Unreachable(Some(io::ErrorKind::ConnectionRefused.into()));
        let source = error.source().and_then(|it| it.downcast_ref::<IoCause>());
        assert_eq!(source.map(|it| it.kind()), Some(io::ErrorKind::ConnectionRefused));
        assert_eq!(error, StoreError::Unreachable(None));
        assert_ne!(error, StoreError::Disconnected(None));
        assert!(StoreError::Unreachable(None).source().is_none());
    }

    #[test]
    fn unresolved_host_and_missing_socket_are_named() {
        let error = std::net::ToSocketAddrs::to_socket_addrs(&("no-such-host.invalid", 6379));
        let unresolved = IoCause::from(&error.map(|_| ()).unwrap_err());
        assert_eq!(unresolved.to_string(), "the host name cannot be resolved");
        let missing = IoCause::from(io::ErrorKind::NotFound);
        assert_eq!(missing.to_string(), "no such file or socket");
    }

    #[test]
    fn error_of_own_store_has_its_text_and_is_no_load() {
        let error = StoreError::Other("the table is locked");
        assert_eq!(error.to_string(), "the table is locked");
        assert_ne!(error, StoreError::Other("the disk is full"));
        assert!(!error.is_caused_by_load());
    }
}
