//! The Redis of a server, directly or behind a proxy that delays all bytes.

use std::time::{Duration, Instant};

use redis::Client;

use crate::{
    BenchResult, OTHER_CORE,
    delay_proxy::DelayProxy,
    figures::quantile,
    redis_process::{RedisProcess, Usage},
};

const PINGS: u32 = 300;

/// A Redis that ends when this value is dropped.
pub struct RedisTarget {
    redis: RedisProcess,
    proxy: Option<DelayProxy>,
}

impl RedisTarget {
    /// Starts a Redis on the second core. With a delay, it is behind a proxy on threads of this process.
    ///
    /// # Errors
    ///
    /// If Redis or the proxy does not start.
    pub fn start(delay: Option<Duration>) -> BenchResult<Self> {
        let redis = RedisProcess::start(OTHER_CORE)?;
        let proxy = delay.map(|delay| DelayProxy::start(redis.address(), delay)).transpose()?;
        Ok(Self { redis, proxy })
    }

    /// The URL for the server.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.proxy {
            Some(proxy) => format!("redis://{}", proxy.address()),
            None => self.redis.url(),
        }
    }

    /// The resources that Redis has used.
    ///
    /// # Errors
    ///
    /// If Redis does not report them.
    pub fn usage(&self) -> BenchResult<Usage> {
        self.redis.usage()
    }

    /// The median of the round trips of `PING` in microseconds: directly, and as the server reaches Redis.
    ///
    /// # Errors
    ///
    /// If Redis does not respond.
    pub fn round_trips(&self) -> BenchResult<[f64; 2]> {
        Ok([median_ping(&self.redis.url())?, median_ping(&self.url())?])
    }
}

fn median_ping(url: &str) -> BenchResult<f64> {
    let mut connection = Client::open(url)?.get_connection()?;
    let mut ping = || -> BenchResult<u32> {
        let started = Instant::now();
        redis::cmd("PING").query::<String>(&mut connection)?;
        Ok(started.elapsed().as_micros() as u32)
    };
    let mut micros = (0..PINGS).map(|_| ping()).collect::<BenchResult<Vec<_>>>()?;
    micros.sort_unstable();
    Ok(quantile(&micros, 0.5))
}

/// Describes how the server reaches Redis, for the line above a table.
///
/// # Errors
///
/// If Redis or the proxy does not start.
pub fn describe(delay: Option<Duration>) -> BenchResult<String> {
    let Some(delay) = delay else { return Ok("Redis without a delay".to_owned()) };
    let [direct, delayed] = RedisTarget::start(Some(delay))?.round_trips()?;
    Ok(format!(
        "Redis behind a proxy that adds {} ms to each round trip (median of PING: {delayed:.0} µs, {direct:.0} µs \
         without the proxy)",
        delay.as_secs_f64() * 1e3
    ))
}
