//! The ways to ask Redis that are compared.

use std::{rc::Rc, time::Duration};

use deadpool_redis::Pool;
use rateguard::{Key, Policy, Quota, RateGuard, RedisLog};
use redis::{AsyncConnectionConfig, Client, Script, aio::MultiplexedConnection};

use crate::{
    Outcome, PATIENCE,
    plain::{self, Plain},
};

/// A way to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `RateGuard::check`.
    RateGuard,
    /// The same on logs that are sorted sets.
    SortedSet,
    /// A connection out of a pool for each check, and the plain script.
    Pool,
    /// One connection for all checks, and the plain script.
    Shared,
    /// One connection for all, and a script that does nothing.
    Nothing,
    /// One connection for all, and `PING`.
    Ping,
}

impl Way {
    /// What the tables call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RateGuard => "**RateGuard**",
            Self::SortedSet => "**RateGuard**, `RedisLog::SortedSet`",
            Self::Pool => "plain script, deadpool checkout (16)",
            Self::Shared => "plain script, one multiplexed connection",
            Self::Nothing => "bare: `EVALSHA` of an empty script",
            Self::Ping => "bare: `PING`",
        }
    }
}

/// Somebody who asks so.
pub enum Asker {
    /// See [`Way`].
    RateGuard(RateGuard, Policy),
    /// See [`Way`].
    Pool(Pool, Plain),
    /// See [`Way`].
    Shared(MultiplexedConnection, Plain),
    /// See [`Way`].
    Nothing(MultiplexedConnection, Script),
    /// See [`Way`].
    Ping(MultiplexedConnection),
}

impl Asker {
    /// For this limit at this server.
    ///
    /// # Errors
    ///
    /// If it cannot be reached.
    pub async fn open(way: Way, url: &str, limit: (u32, Duration)) -> Outcome<Rc<Self>> {
        Ok(Rc::new(match way {
            Way::RateGuard => rate_guard(url, limit, RedisLog::Packed)?,
            Way::SortedSet => rate_guard(url, limit, RedisLog::SortedSet)?,
            Way::Pool => Self::Pool(plain::pool(url)?, Plain::new(limit)),
            Way::Shared => Self::Shared(connect(url).await?, Plain::new(limit)),
            Way::Nothing => Self::Nothing(connect(url).await?, Script::new("return 1")),
            Way::Ping => Self::Ping(connect(url).await?),
        }))
    }

    /// Whether one more of this key is admitted. Only RateGuard knows costs; to all others it is one.
    ///
    /// # Errors
    ///
    /// If there is no decision.
    pub async fn ask(&self, key: &str, cost: u32) -> Outcome<bool> {
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
            Self::Nothing(connection, script) => {
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

fn rate_guard(url: &str, (limit, window): (u32, Duration), log: RedisLog) -> Outcome<Asker> {
    let settings = RateGuard::redis(url).redis_log(log).deadline(PATIENCE);
    // Denials are to be those of Redis.
    let guard = settings.remember_denials(Duration::ZERO).build()?;
    Ok(Asker::RateGuard(guard, Policy::new("bench", Quota::new(limit, window)?)?))
}

async fn connect(url: &str) -> Outcome<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
    let client = Client::open(url)?;
    Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
}

/// So many keys.
#[must_use]
pub fn keys(count: u64) -> Rc<[String]> {
    (0..count).map(|number| format!("key-{number:06}")).collect()
}
