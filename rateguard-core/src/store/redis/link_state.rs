//! The state of the connection to one server.

use std::sync::Arc;

use redis::aio::MultiplexedConnection;

use crate::store::{StoreError, server_clock::ServerClock};

/// The state of the connection to one server.
#[derive(Clone)]
pub(super) enum LinkState {
    /// The first connect attempt, or the first attempt after a loss, is in progress. Requests wait for the result,
    /// because it is usually available soon.
    Connecting,
    Up(ActiveConnection),
    /// The last connect attempt failed. Requests fail immediately with this cause.
    Down(StoreError),
}

/// A connection to a server that replied to the last heartbeat.
#[derive(Clone)]
pub(super) struct ActiveConnection {
    pub(super) connection: MultiplexedConnection,
    pub(super) clock: Arc<ServerClock>,
    /// The number of the connection. Each new connection of a link has a higher number, so reports about an old
    /// connection can be ignored.
    pub(super) generation: u64,
}
