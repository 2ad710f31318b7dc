//! Opens connections with the settings of the application's connection pool.

use std::io;

use deadpool::managed::Manager as _;
use deadpool_redis::Pool;
use redis::aio::MultiplexedConnection;
use tokio::time::timeout;

use super::connect::{CONNECT_TIMEOUT, connect_error};
use crate::store::StoreError;

/// Opens a new connection with the settings of the pool. The connection does not belong to the pool.
pub(super) async fn connect(pool: &Pool) -> Result<MultiplexedConnection, StoreError> {
    let connection = timeout(CONNECT_TIMEOUT, pool.manager().create()).await;
    let connection =
        connection.map_err(|_| StoreError::Unreachable(Some(io::ErrorKind::TimedOut.into())))?;
    connection.map_err(|error| connect_error(&error))
}
