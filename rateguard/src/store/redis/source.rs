//! Where connections come from.

use std::{future, io, time::Duration};

use deadpool::managed::Manager as _;
use deadpool_redis::{Connection, Manager, Pool, PoolError, Runtime};
use redis::{AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, aio::MultiplexedConnection};
use tokio::time::timeout;

use super::{StoreError, error::classify, sentinel::Sentinels};

/// How long it may take to connect, log in and choose the database.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) enum Source {
    /// Our own pool, which makes and replaces one.
    Own(Pool),
    /// The application's pool, of which only the way to connect is used, and none of its connections: those may live on a
    /// worker that blocks.
    Like(Pool),
    /// The server that Sentinel calls the primary.
    Primary(Box<Sentinels>),
}

impl Source {
    pub(super) fn of(server: ConnectionInfo) -> io::Result<Self> {
        // Checks have a deadline of their own.
        pool(server, None).map(Self::Own)
    }

    pub(super) async fn connect(&self) -> Result<MultiplexedConnection, StoreError> {
        match self {
            Self::Own(pool) => take_of(pool).await,
            Self::Like(pool) => {
                let connecting = timeout(CONNECT_TIMEOUT, pool.manager().create()).await;
                let connected = connecting.map_err(|_| StoreError::Unreachable)?;
                connected.map_err(|error| why_not_connected(&PoolError::Backend(error)))
            }
            Self::Primary(sentinels) => sentinels.connect().await,
        }
    }

    /// Ends when a new connection would lead to another server than the last one.
    pub(super) async fn until_elsewhere(&self) {
        match self {
            Self::Own(_) | Self::Like(_) => future::pending().await,
            Self::Primary(sentinels) => sentinels.until_elsewhere().await,
        }
    }
}

/// A connection to this server, each of whose answers comes in that time, if there is one.
pub(super) async fn connect(
    server: ConnectionInfo,
    response_timeout: Option<Duration>,
) -> Result<MultiplexedConnection, StoreError> {
    let pool = pool(server, response_timeout).map_err(|_| StoreError::Unreachable)?;
    take_of(&pool).await
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

/// The pool makes the connection and replaces it; there is one.
fn pool(server: ConnectionInfo, response_timeout: Option<Duration>) -> io::Result<Pool> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(response_timeout)
        // Checks wait for their deadline rather than for room in the queue.
        .set_pipeline_buffer_size(1024);
    let manager = Manager::new_with_config(server, config).map_err(io::Error::other)?;
    Pool::builder(manager).max_size(1).runtime(Runtime::Tokio1).build().map_err(io::Error::other)
}

/// Taken out of the pool, a connection is closed when the last check lets go of it.
async fn take_of(pool: &Pool) -> Result<MultiplexedConnection, StoreError> {
    let connection = pool.get().await.map_err(|error| why_not_connected(&error))?;
    Ok(Connection::take(connection))
}

/// Why the pool has no connection.
fn why_not_connected(error: &PoolError) -> StoreError {
    match error {
        PoolError::Backend(error) => match classify(error) {
            // There was no connection that could have been lost.
            StoreError::Timeout | StoreError::Disconnected => StoreError::Unreachable,
            cause => cause,
        },
        _ => StoreError::Unreachable,
    }
}
