//! Defines the state of the connection to one Redis server.

use std::sync::Arc;

use redis::aio::MultiplexedConnection;

use super::connector::Endpoint;

use crate::store::{StoreError, server_clock::ServerClock};

/// The state of the connection to one Redis server.
#[derive(Clone)]
pub(super) enum LinkState {
    /// An attempt to connect is in progress. It is the first attempt of all, or the first attempt after the
    /// connection was lost. Requests wait for the result, because it is usually available soon.
    Connecting,
    Up(ActiveConnection),
    /// The last attempt to connect failed with this error. Requests fail immediately with the same error.
    Down(StoreError),
}

/// An open connection to a server that has replied to the last heartbeat.
#[derive(Clone)]
pub(super) struct ActiveConnection {
    pub(super) connection: MultiplexedConnection,
    /// The server. Workers open connections of their own to it.
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) clock: Arc<ServerClock>,
    /// The number of the connection. Each new connection of a link has a higher number, so the connection manager can
    /// ignore reports about an old connection.
    pub(super) generation: u64,
}
