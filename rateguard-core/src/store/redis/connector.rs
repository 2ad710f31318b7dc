//! Opens the connections of a link to a fixed server, the server of a pool, or the primary of a service.

use std::{future, io};

#[cfg(feature = "deadpool")]
use deadpool::managed::Manager as _;
#[cfg(feature = "deadpool")]
use deadpool_redis::Pool;
use redis::{Client, ConnectionInfo, aio::MultiplexedConnection};
#[cfg(feature = "deadpool")]
use tokio::time::timeout;

#[cfg(feature = "deadpool")]
use super::connect::{CONNECT_TIMEOUT, connect_error};
use super::{connect::connect_with, sentinel::Sentinels};
use crate::store::StoreError;

pub(super) enum Source {
    /// A server by its address.
    Server(Box<Client>),
    /// The application's pool. Only its settings are used: a worker thread of the application drives each connection of
    /// the pool, and may be blocked.
    #[cfg(feature = "deadpool")]
    FromAppPool(Pool),
    /// The primary that the sentinels report.
    Sentinel(Box<Sentinels>),
}

impl Source {
    pub(super) fn of(server: ConnectionInfo) -> io::Result<Self> {
        Client::open(server).map(|client| Self::Server(Box::new(client))).map_err(io::Error::other)
    }

    pub(super) async fn connect(&self) -> Result<MultiplexedConnection, StoreError> {
        match self {
            // There is no response timeout, because each check has a deadline.
            Self::Server(client) => connect_with(client, None).await,
            #[cfg(feature = "deadpool")]
            Self::FromAppPool(pool) => {
                let connection = timeout(CONNECT_TIMEOUT, pool.manager().create()).await;
                let connection = connection
                    .map_err(|_| StoreError::Unreachable(Some(io::ErrorKind::TimedOut.into())))?;
                connection.map_err(|error| connect_error(&error))
            }
            Self::Sentinel(sentinels) => sentinels.connect().await,
        }
    }

    /// Waits until the sentinels report another primary than the primary of the last connection. For other sources,
    /// waits forever.
    pub(super) async fn primary_changed(&self) {
        match self {
            Self::Sentinel(sentinels) => sentinels.primary_changed().await,
            _ => future::pending().await,
        }
    }
}
