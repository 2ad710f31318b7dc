//! One hot key on four servers, which share a limit of 1,000 requests per second.

use std::time::{Duration, Instant};

use crate::{
    BenchResult, HOT_KEY, OTHER_CORE,
    contenders::Contender,
    cpu::Stopwatch,
    judge,
    load::{Exchange, Load},
    redis_process::RedisProcess,
    server_process::ServerProcess,
};

const SERVERS: usize = 4;
const CONNECTIONS: usize = 64;
/// The time before the measurement, in which connections are opened and the first leases are granted.
const WARM_UP: Duration = Duration::from_millis(1500);

/// How the clients send requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HotKeyLoad {
    /// Below the limit: this number of requests per second.
    Steady(u16),
    /// Above the limit: each of 64 connections sends as fast as possible.
    Flood,
}

/// The figures of a measurement.
#[derive(Clone, Copy, Debug)]
pub struct HotKeyCost {
    /// The number of requests per second.
    pub rate: f64,
    /// The number of admitted requests per second.
    pub admitted: f64,
    /// The maximum number of requests that were certainly admitted in one window.
    pub max_in_window: f64,
    /// The number of script calls per admitted request.
    pub script_calls: f64,
    /// The CPU time of all servers in microseconds per request.
    pub server_us: f64,
    /// The CPU time of Redis in microseconds per request.
    pub redis_us: f64,
}

impl HotKeyLoad {
    /// The label in the table.
    #[must_use]
    pub fn label(self) -> String {
        match self {
            Self::Steady(rate) => format!("{rate} requests/s"),
            Self::Flood => "64 clients, as fast as possible".to_owned(),
        }
    }

    fn run(self, load: &mut Load, duration: Duration) -> BenchResult<Vec<Exchange>> {
        let mut exchanges = Vec::new();
        match self {
            Self::Steady(rate) => {
                load.exchange_at_rate(f64::from(rate), duration, |exchange, _| {
                    exchanges.push(*exchange);
                })?;
            }
            Self::Flood => {
                let end = Instant::now() + duration;
                load.run_while(CONNECTIONS, |exchange| {
                    exchanges.push(*exchange);
                    exchange.received < end
                })?;
            }
        }
        Ok(exchanges)
    }

    /// Measures four servers.
    ///
    /// # Errors
    ///
    /// If a server fails, or a response is neither 200 nor 429.
    pub fn measure(self, contender: &Contender, duration: Duration) -> BenchResult<HotKeyCost> {
        let redis = contender.uses_redis.then(|| RedisProcess::start(OTHER_CORE)).transpose()?;
        let url = redis.as_ref().map(RedisProcess::url).unwrap_or_default();
        let start = |_| ServerProcess::start(contender, &url, 1);
        let servers = (0..SERVERS).map(start).collect::<BenchResult<Vec<_>>>()?;
        let addresses: Vec<_> = servers.iter().map(ServerProcess::address).collect();
        let mut load = Load::connect(&addresses, 1, CONNECTIONS)?;
        let mut all = self.run(&mut load, WARM_UP)?;

        let before = redis.as_ref().map(RedisProcess::usage).transpose()?;
        let watches = servers.iter().map(|it| Stopwatch::start(&it.id().to_string()));
        let watches = watches.collect::<BenchResult<Vec<_>>>()?;
        let started = Instant::now();
        let exchanges = self.run(&mut load, duration)?;
        let seconds = started.elapsed().as_secs_f64();
        let mut cpu = Duration::ZERO;
        for watch in &watches {
            cpu += watch.read()?.1;
        }
        let after = redis.as_ref().map(RedisProcess::usage).transpose()?;

        let (requests, admitted) = (exchanges.len() as f64, count(&exchanges)?);
        let (redis_us, script_calls) = match (before, after) {
            (Some(before), Some(after)) => {
                (after.cpu_us - before.cpu_us, after.script_calls - before.script_calls)
            }
            _ => (0.0, 0.0),
        };
        all.extend(exchanges);
        Ok(HotKeyCost {
            rate: requests / seconds,
            admitted: admitted / seconds,
            max_in_window: judge::max_in_window(&all, HOT_KEY.1) as f64,
            script_calls: script_calls / admitted,
            server_us: cpu.as_secs_f64() * 1e6 / requests,
            redis_us: redis_us / requests,
        })
    }
}

/// The number of admitted requests.
fn count(exchanges: &[Exchange]) -> BenchResult<f64> {
    if let Some(other) = exchanges.iter().find(|it| !matches!(it.status, 200 | 429)) {
        return Err(format!("expected status 200 or 429, found {}", other.status).into());
    }
    Ok(exchanges.iter().filter(|it| it.status == 200).count() as f64)
}
