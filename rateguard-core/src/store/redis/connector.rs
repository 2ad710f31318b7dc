//! Opens connections to Redis.

use std::{future, io, time::Duration};

#[cfg(feature = "deadpool")]
use deadpool::managed::Manager as _;
#[cfg(feature = "deadpool")]
use deadpool_redis::Pool;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, RedisError,
    aio::MultiplexedConnection,
};
#[cfg(feature = "deadpool")]
use tokio::time::timeout;

use super::{StoreError, error::classify, sentinel::Sentinels};

/// The longest time to connect, log in and select the database.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) enum Source {
    /// A server by its address.
    Server(Client),
    /// The application's pool. Only its way to connect is used, and none of its connections: a worker that drives one of
    /// them may block.
    #[cfg(feature = "deadpool")]
    FromAppPool(Pool),
    /// The server that Sentinel calls the primary.
    Primary(Box<Sentinels>),
}

impl Source {
    pub(super) fn of(server: ConnectionInfo) -> io::Result<Self> {
        Client::open(server).map(Self::Server).map_err(io::Error::other)
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
            Self::Primary(sentinels) => sentinels.connect().await,
        }
    }

    /// Ends when a new connection would lead to another server than the last one.
    pub(super) async fn primary_changed(&self) {
        match self {
            Self::Primary(sentinels) => sentinels.primary_changed().await,
            _ => future::pending().await,
        }
    }
}

/// Connects to this server. Each reply on the connection has to arrive within the response timeout, if there is one.
pub(super) async fn connect(
    server: ConnectionInfo,
    response_timeout: Option<Duration>,
) -> Result<MultiplexedConnection, StoreError> {
    let client = Client::open(server).map_err(|_| StoreError::Unreachable)?;
    connect_with(&client, response_timeout).await
}

async fn connect_with(
    client: &Client,
    response_timeout: Option<Duration>,
) -> Result<MultiplexedConnection, StoreError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(response_timeout)
        // Checks wait for their deadline rather than for room in the queue.
        .set_pipeline_buffer_size(1024);
    let connection = client.get_multiplexed_async_connection_with_config(&config).await;
    connection.map_err(|error| connect_error(&error))
}

fn connect_error(error: &RedisError) -> StoreError {
    match classify(error) {
        // No connection existed that could have been lost.
        StoreError::Timeout | StoreError::Disconnected => StoreError::Unreachable,
        cause => cause,
    }
}

/// The name or the IP address of the server, if it has one.
pub(super) fn host(server: &ConnectionInfo) -> &str {
    match server.addr() {
        ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host,
        _ => "",
    }
}

/// The same server at another address.
pub(super) fn at(server: &ConnectionInfo, host: &str, port: u16) -> ConnectionInfo {
    let address = match server.addr().clone() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure, tls_params }
        }
        _ => ConnectionAddr::Tcp(host.to_owned(), port),
    };
    server.clone().set_addr(address)
}
