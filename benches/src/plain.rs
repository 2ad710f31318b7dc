//! The plain port of a sliding window to Rust: a script on a sorted set, and a connection of a pool for each check.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use deadpool_redis::{Manager, Pool, Runtime};
use redis::{AsyncConnectionConfig, Script, aio::ConnectionLike};

use crate::{Outcome, PATIENCE, POOL_SIZE};

/// A limit that is kept so.
#[derive(Clone)]
pub struct Plain {
    script: Arc<Script>,
    limit: u32,
    window: Duration,
    /// What the requests of no other process are called.
    process: u64,
    next: Arc<AtomicU64>,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Decided {
    /// Whether it is admitted.
    pub is_allowed: bool,
    /// How many more are.
    pub remaining: u64,
    /// Seconds until there is more, rounded up.
    pub reset_after: u64,
}

impl Plain {
    /// At most so many in a window so long.
    #[must_use]
    pub fn new((limit, window): (u32, Duration)) -> Self {
        let script = Arc::new(Script::new(include_str!("plain.lua")));
        let process = RandomState::new().hash_one("process");
        Self { script, limit, window, process, next: Arc::default() }
    }

    /// Decides on one request.
    ///
    /// # Errors
    ///
    /// What Redis says.
    pub async fn check(
        &self,
        connection: &mut impl ConnectionLike,
        key: &str,
    ) -> redis::RedisResult<Decided> {
        let (admitted, remaining, micros): (u8, u64, u64) = self
            .script
            .key(key)
            .arg(self.limit)
            .arg(self.window.as_micros() as u64)
            .arg(format!("{:016x}-{:x}", self.process, self.next.fetch_add(1, Relaxed)))
            .invoke_async(connection)
            .await?;
        let reset_after = micros.div_ceil(1_000_000);
        Ok(Decided { is_allowed: admitted == 1, remaining, reset_after })
    }
}

/// A pool as it is usually made, but for its patience.
///
/// # Errors
///
/// If the URL is none.
pub fn pool(url: &str) -> Outcome<Pool> {
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
    let manager = Manager::new_with_config(url, config)?;
    Ok(Pool::builder(manager).max_size(POOL_SIZE).runtime(Runtime::Tokio1).build()?)
}
