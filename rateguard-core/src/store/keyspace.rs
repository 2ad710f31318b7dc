//! The server and the key prefix of a store.

/// The server and the key prefix of a store. Guards with equal keyspaces share the counts of limits with equal names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyspace {
    /// The description of the server, for example `Redis at 127.0.0.1:6379`. It contains no user and no password.
    pub server: String,
    /// The prefix of all keys.
    pub prefix: String,
    /// The memory address of the application's connection pool, or 0 if the application has passed a URL. The URL of a
    /// pool is not available, so the pool itself identifies the server.
    pub(crate) pool: usize,
}
