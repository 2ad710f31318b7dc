//! Opens the connections of a link. The server is a fixed server, the server of the application's pool, or the
//! primary that the sentinels report.

use std::{future, io};

use redis::{Client, ConnectionInfo, aio::MultiplexedConnection};

use super::{connect::connect_with, sentinel::Sentinels};
use crate::store::{StoreError, connection::ServerLabel};

pub(super) enum Source {
    /// Connects to a server whose address is given.
    Server(Box<Client>),
    /// Connects with the settings of the application's pool. The store does not use the connections of the pool,
    /// because a worker thread of the application drives each of them, and this thread may be blocked.
    #[cfg(feature = "deadpool")]
    FromAppPool(deadpool_redis::Pool),
    /// Connects to the primary that the sentinels report.
    Sentinel(Box<Sentinels>),
}

impl Source {
    pub(super) fn of(server: ConnectionInfo) -> io::Result<Self> {
        Client::open(server).map(|client| Self::Server(Box::new(client))).map_err(io::Error::other)
    }

    /// Describes the server in log messages.
    pub(super) fn label(&self) -> ServerLabel {
        match self {
            Self::Server(client) => ServerLabel::of(client.get_connection_info()),
            #[cfg(feature = "deadpool")]
            Self::FromAppPool(pool) => ServerLabel::of_pool(pool),
            Self::Sentinel(sentinels) => sentinels.label(),
        }
    }

    pub(super) async fn connect(&self) -> Result<MultiplexedConnection, StoreError> {
        match self {
            // Do not set a response timeout, because each check has its own deadline.
            Self::Server(client) => connect_with(client, None).await,
            #[cfg(feature = "deadpool")]
            Self::FromAppPool(pool) => super::app_pool::connect(pool).await,
            Self::Sentinel(sentinels) => sentinels.connect().await,
        }
    }

    /// Waits until the sentinels report a primary that differs from the primary to which the last connection was
    /// made. Waits forever if there are no sentinels.
    pub(super) async fn primary_changed(&self) {
        match self {
            Self::Sentinel(sentinels) => sentinels.primary_changed().await,
            _ => future::pending().await,
        }
    }
}
