//! The plain port on Redis: a script, with a pooled connection for each request or with one connection for each worker.

use std::time::Duration;

use deadpool_redis::Pool;
use rateguard_benches::{
    BenchResult,
    plain::{self, Decision, PlainLimiter},
};
use redis::aio::MultiplexedConnection;
use tokio::sync::OnceCell;

use super::port::{Port, PortDecision};

/// Takes a connection from a pool for each request.
pub(crate) struct PooledPort {
    pool: Pool,
    limit: u32,
    plain: PlainLimiter,
}

impl PooledPort {
    pub(crate) fn new(url: &str, limit: (u32, Duration)) -> BenchResult<Self> {
        Ok(Self { pool: plain::pool(url)?, limit: limit.0, plain: PlainLimiter::new(limit) })
    }
}

impl Port for PooledPort {
    async fn check(&self, key: String) -> BenchResult<PortDecision> {
        let mut connection = self.pool.get().await?;
        // The connection returns to the pool before the handler runs, because other requests wait for one.
        Ok(to_decision(self.limit, self.plain.check(&mut connection, &key).await?))
    }
}

/// All requests of a worker share one connection. A clone that has not been used has no connection.
#[derive(Clone)]
pub(crate) struct MultiplexedPort {
    url: String,
    connection: OnceCell<MultiplexedConnection>,
    limit: u32,
    plain: PlainLimiter,
}

impl MultiplexedPort {
    pub(crate) fn new(url: String, limit: (u32, Duration)) -> Self {
        Self { url, connection: OnceCell::new(), limit: limit.0, plain: PlainLimiter::new(limit) }
    }
}

impl Port for MultiplexedPort {
    async fn check(&self, key: String) -> BenchResult<PortDecision> {
        // The first request opens the connection, so that its task is on the worker's runtime.
        let connection = self.connection.get_or_try_init(|| plain::connect(&self.url)).await?;
        Ok(to_decision(self.limit, self.plain.check(&mut connection.clone(), &key).await?))
    }
}

fn to_decision(limit: u32, decision: Decision) -> PortDecision {
    let Decision { is_allowed, remaining, reset_after } = decision;
    let headers = Some((limit, remaining, reset_after));
    PortDecision { is_allowed, retry_after: reset_after, headers }
}
