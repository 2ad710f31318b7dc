//! Opens the connections of a link. The server is a fixed server, the server of the application's pool, or the
//! primary that the sentinels report.

use std::{future, io, sync::Arc};

use redis::{Client, ConnectionInfo, aio::MultiplexedConnection};

use super::{connect::connect_with, sentinel::Sentinels};
use crate::store::{StoreError, connection::ServerLabel};

/// Selects the server of a link.
pub(super) enum Source {
    Fixed(Arc<Endpoint>),
    /// The primary that the sentinels report.
    Sentinel(Box<Sentinels>),
}

/// A server, with the settings for connections to it.
pub(super) enum Endpoint {
    Server(Box<Client>),
    /// Connects with the settings of the application's pool. The store does not use the connections of the pool, because
    /// each of them belongs to the thread that opened it, and this thread may be blocked.
    #[cfg(feature = "deadpool")]
    FromAppPool(deadpool_redis::Pool),
}

impl Source {
    pub(super) fn of(server: ConnectionInfo) -> io::Result<Self> {
        let client = Client::open(server).map_err(io::Error::other)?;
        Ok(Self::Fixed(Arc::new(Endpoint::Server(Box::new(client)))))
    }

    #[cfg(feature = "deadpool")]
    pub(super) fn of_pool(pool: deadpool_redis::Pool) -> Self {
        Self::Fixed(Arc::new(Endpoint::FromAppPool(pool)))
    }

    /// Describes the server in log messages.
    pub(super) fn label(&self) -> ServerLabel {
        match self {
            Self::Fixed(endpoint) => match &**endpoint {
                Endpoint::Server(client) => ServerLabel::of(client.get_connection_info()),
                #[cfg(feature = "deadpool")]
                Endpoint::FromAppPool(pool) => ServerLabel::of_pool(pool),
            },
            Self::Sentinel(sentinels) => sentinels.label(),
        }
    }

    /// Returns the server to which the link should connect now.
    pub(super) async fn endpoint(&self) -> Result<Arc<Endpoint>, StoreError> {
        match self {
            Self::Fixed(endpoint) => Ok(Arc::clone(endpoint)),
            Self::Sentinel(sentinels) => {
                let primary = Client::open(sentinels.primary().await?);
                let client = primary.map_err(|_| StoreError::Unreachable(None))?;
                Ok(Arc::new(Endpoint::Server(Box::new(client))))
            }
        }
    }

    /// Waits until the sentinels report a primary that differs from the last [`endpoint`](Self::endpoint). Waits forever
    /// if there are no sentinels.
    pub(super) async fn primary_changed(&self) {
        match self {
            Self::Sentinel(sentinels) => sentinels.primary_changed().await,
            Self::Fixed(_) => future::pending().await,
        }
    }
}

impl Endpoint {
    /// Opens a connection. The async runtime of the caller drives it.
    pub(super) async fn connect(&self) -> Result<MultiplexedConnection, StoreError> {
        match self {
            // Do not set a response timeout, because each check has its own deadline.
            Self::Server(client) => connect_with(client, None).await,
            #[cfg(feature = "deadpool")]
            Self::FromAppPool(pool) => super::app_pool::connect(pool).await,
        }
    }
}
