//! A plain port of the sliding window to Rust: a script on a sorted set, with a pooled connection for each
//! check or with one connection for all checks.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use deadpool_redis::{Manager, Pool, Runtime};
use redis::{
    AsyncConnectionConfig, Client, Script,
    aio::{ConnectionLike, MultiplexedConnection},
};

use crate::{BenchResult, POOL_SIZE, TIMEOUT};

/// A limit that the plain script enforces.
#[derive(Clone)]
pub struct PlainLimiter {
    script: Arc<Script>,
    limit: u32,
    window: Duration,
    /// A random id of this process, so that request ids are unique.
    process: u64,
    next: Arc<AtomicU64>,
}

/// The decision of the script.
#[derive(Clone, Copy, Debug)]
pub struct Decision {
    /// Whether the request is admitted.
    pub is_allowed: bool,
    /// How many more requests would be admitted.
    pub remaining: u64,
    /// Seconds until more is available, rounded up.
    pub reset_after: u64,
}

impl PlainLimiter {
    /// A limit of this many requests per window.
    #[must_use]
    pub fn new((limit, window): (u32, Duration)) -> Self {
        let script = Arc::new(Script::new(include_str!("plain.lua")));
        let process = RandomState::new().hash_one("process");
        Self { script, limit, window, process, next: Arc::default() }
    }

    /// Checks one request.
    ///
    /// # Errors
    ///
    /// The error of Redis or of the connection.
    pub async fn check(
        &self,
        connection: &mut impl ConnectionLike,
        key: &str,
    ) -> redis::RedisResult<Decision> {
        let (admitted, remaining, micros): (u8, u64, u64) = self
            .script
            .key(key)
            .arg(self.limit)
            .arg(self.window.as_micros() as u64)
            .arg(format!("{:016x}-{:x}", self.process, self.next.fetch_add(1, Relaxed)))
            .invoke_async(connection)
            .await?;
        let reset_after = micros.div_ceil(1_000_000);
        Ok(Decision { is_allowed: admitted == 1, remaining, reset_after })
    }
}

/// A deadpool pool with the usual settings, except for the timeout.
///
/// # Errors
///
/// If the URL is invalid.
pub fn pool(url: &str) -> BenchResult<Pool> {
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(TIMEOUT));
    let manager = Manager::new_with_config(url, config)?;
    Ok(Pool::builder(manager).max_size(POOL_SIZE).runtime(Runtime::Tokio1).build()?)
}

/// A multiplexed connection with the same timeout. Its task runs on the runtime of the caller.
///
/// # Errors
///
/// If Redis cannot be reached.
pub async fn connect(url: &str) -> BenchResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(TIMEOUT));
    let client = Client::open(url)?;
    Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
}
