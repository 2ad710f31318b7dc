//! The Redis clients that are compared.

use std::{rc::Rc, time::Duration};

use actix_rateguard::{Key, Policy, Quota, RateGuard, builder::LogEncoding};
use deadpool_redis::Pool;
use redis::{Script, aio::MultiplexedConnection};

use crate::{
    BenchResult, TIMEOUT,
    plain::{self, PlainLimiter},
};

/// A kind of client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientKind {
    /// `RateGuard::check`.
    RateGuard,
    /// `RateGuard::check` with logs as sorted sets.
    SortedSet,
    /// The plain script, with a connection from a pool for each check.
    Pool,
    /// The plain script, with one connection for all checks.
    Shared,
    /// An empty script, with one connection for all checks.
    EmptyScript,
    /// `PING`, with one connection for all checks.
    Ping,
}

impl ClientKind {
    /// The label in the tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RateGuard => "**RateGuard**",
            Self::SortedSet => "**RateGuard**, `LogEncoding::SortedSet`",
            Self::Pool => "plain script, deadpool checkout (16)",
            Self::Shared => "plain script, one multiplexed connection",
            Self::EmptyScript => "bare: `EVALSHA` of an empty script",
            Self::Ping => "bare: `PING`",
        }
    }
}

/// A client.
pub enum CheckClient {
    /// See [`ClientKind`].
    RateGuard(RateGuard, Policy),
    /// See [`ClientKind`].
    Pool(Pool, PlainLimiter),
    /// See [`ClientKind`].
    Shared(MultiplexedConnection, PlainLimiter),
    /// See [`ClientKind`].
    EmptyScript(MultiplexedConnection, Script),
    /// See [`ClientKind`].
    Ping(MultiplexedConnection),
}

impl CheckClient {
    /// Connects a client with this limit to the Redis at this URL.
    ///
    /// # Errors
    ///
    /// If Redis cannot be reached.
    pub async fn open(
        kind: ClientKind,
        url: &str,
        limit: (u32, Duration),
    ) -> BenchResult<Rc<Self>> {
        Ok(Rc::new(match kind {
            ClientKind::RateGuard => rate_guard(url, limit, LogEncoding::Packed)?,
            ClientKind::SortedSet => rate_guard(url, limit, LogEncoding::SortedSet)?,
            ClientKind::Pool => Self::Pool(plain::pool(url)?, PlainLimiter::new(limit)),
            ClientKind::Shared => {
                Self::Shared(plain::connect(url).await?, PlainLimiter::new(limit))
            }
            ClientKind::EmptyScript => {
                Self::EmptyScript(plain::connect(url).await?, Script::new("return 1"))
            }
            ClientKind::Ping => Self::Ping(plain::connect(url).await?),
        }))
    }

    /// Checks a key, and returns whether it is admitted. Only RateGuard supports a cost; for all others it is 1.
    ///
    /// # Errors
    ///
    /// If there is no decision.
    pub async fn check(&self, key: &str, cost: u32) -> BenchResult<bool> {
        Ok(match self {
            Self::RateGuard(guard, policy) => {
                let decision = guard.request(policy, &Key::from(key)).cost(cost).check().await;
                decision.map_err(|error| error.cause())?.is_allowed()
            }
            Self::Pool(pool, plain) => {
                let mut connection = pool.get().await?;
                plain.check(&mut connection, key).await?.is_allowed
            }
            Self::Shared(connection, plain) => {
                plain.check(&mut connection.clone(), key).await?.is_allowed
            }
            Self::EmptyScript(connection, script) => {
                let one: u8 = script.key(key).invoke_async(&mut connection.clone()).await?;
                one == 1
            }
            Self::Ping(connection) => {
                let pong: String = redis::cmd("PING").query_async(&mut connection.clone()).await?;
                pong == "PONG"
            }
        })
    }
}

fn rate_guard(
    url: &str,
    (limit, window): (u32, Duration),
    log: LogEncoding,
) -> BenchResult<CheckClient> {
    let settings = RateGuard::redis(url).prefix("rateguard").log_encoding(log).deadline(TIMEOUT);
    // Without the denial cache, Redis decides every check.
    let guard = settings.denial_cache_ttl(Duration::ZERO).build()?;
    Ok(CheckClient::RateGuard(guard, Policy::new("bench", Quota::new(limit, window)?)?))
}

/// The names of this many keys.
#[must_use]
pub fn keys(count: u64) -> Rc<[String]> {
    (0..count).map(|number| format!("key-{number:06}")).collect()
}
