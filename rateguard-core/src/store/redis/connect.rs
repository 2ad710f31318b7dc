//! Opens connections to Redis servers.

use std::{io::ErrorKind, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, RedisError,
    aio::MultiplexedConnection,
};

use super::error::classify;
use crate::store::{StoreError, connection::reason::is_closed_by_server};

/// The maximum time to open a connection, log in and select the database.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Connects to this server. If `response_timeout` is set, each reply on the connection must arrive within this time.
pub(super) async fn connect(
    server: ConnectionInfo,
    response_timeout: Option<Duration>,
) -> Result<MultiplexedConnection, StoreError> {
    let client = Client::open(server).map_err(|_| StoreError::Unreachable(None))?;
    connect_with(&client, response_timeout).await
}

pub(super) async fn connect_with(
    client: &Client,
    response_timeout: Option<Duration>,
) -> Result<MultiplexedConnection, StoreError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(response_timeout)
        // Use a large buffer, so that the dispatcher never has to wait for room in the buffer.
        .set_pipeline_buffer_size(1024);
    let connection = client.get_multiplexed_async_connection_with_config(&config).await;
    connection.map_err(|error| connect_error(&error))
}

pub(super) fn connect_error(error: &RedisError) -> StoreError {
    match classify(error) {
        // The connection was not open yet, so a timeout and most other errors mean that the server cannot be reached.
        StoreError::Timeout => StoreError::Unreachable(Some(ErrorKind::TimedOut.into())),
        cause if is_closed_by_server(cause) => cause,
        StoreError::Disconnected(cause) => StoreError::Unreachable(cause),
        cause => cause,
    }
}

/// Returns the host name or the IP address of the server. Returns an empty text if the server uses a Unix socket.
pub(super) fn host(server: &ConnectionInfo) -> &str {
    match server.addr() {
        ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host,
        _ => "",
    }
}

/// Returns a copy of the settings of `server`, but with this host and this port.
pub(super) fn at(server: &ConnectionInfo, host: &str, port: u16) -> ConnectionInfo {
    let address = match server.addr().clone() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure, tls_params }
        }
        _ => ConnectionAddr::Tcp(host.to_owned(), port),
    };
    server.clone().set_addr(address)
}
