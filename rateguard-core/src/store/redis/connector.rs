//! The server that the connections of a link lead to: a fixed one, that of a pool, or the primary of a service.

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
    /// The settings of the application's pool. The pool's connections are not used, because the worker thread that
    /// drives one of them may be blocked.
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
            // Checks have a deadline of their own.
            Self::Server(client) => connect_with(client, None).await,
            #[cfg(feature = "deadpool")]
            Self::FromAppPool(pool) => {
                let connection = timeout(CONNECT_TIMEOUT, pool.manager().create()).await;
                let connection = connection.map_err(|_| StoreError::Unreachable)?;
                connection.map_err(|error| connect_error(&error))
            }
            Self::Sentinel(sentinels) => sentinels.connect().await,
        }
    }

    /// Waits until the sentinels report another primary than that of the last connection. Other sources wait forever.
    pub(super) async fn primary_changed(&self) {
        match self {
            Self::Sentinel(sentinels) => sentinels.primary_changed().await,
            _ => future::pending().await,
        }
    }
}
