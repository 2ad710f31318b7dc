//! The script calls and the CPU time of a request that holds a permit.

use std::time::Duration;

use crate::{
    BenchResult, OTHER_CORE,
    contenders::{self, Contender, Scenario},
    cpu::Stopwatch,
    load::Load,
    redis_process::RedisProcess,
    server_process::ServerProcess,
};

const CONNECTIONS: usize = 64;
/// A rate at which most requests are alone, so that each script call has one check.
const LOW_RATE: f64 = 500.0;
const WARM_UP: Duration = Duration::from_millis(500);

/// How the clients send requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PermitLoad {
    /// 500 requests per second.
    Low,
    /// Each of 64 connections sends as fast as possible.
    Full,
}

/// The figures of a measurement.
#[derive(Clone, Copy, Debug)]
pub struct PermitCost {
    /// The number of requests per second.
    pub rate: f64,
    /// The number of script calls per request.
    pub script_calls: f64,
    /// The CPU time of the server in microseconds per request.
    pub server_us: f64,
    /// The CPU time of Redis in microseconds per request.
    pub redis_us: f64,
}

/// The limiters: the first one has a rate only.
#[must_use]
pub fn contenders() -> Vec<Contender> {
    let names = ["rateguard-redis", "rateguard-permit-redis", "rateguard-permit-and-rate-redis"];
    let is_wanted = |it: &Contender| names.contains(&it.limiter) && it.scenario == Scenario::OneKey;
    contenders::all().into_iter().filter(is_wanted).collect()
}

impl PermitLoad {
    /// The label in the table.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Low => "500 requests/s",
            Self::Full => "64 connections",
        }
    }

    /// Measures a server.
    ///
    /// # Errors
    ///
    /// If the server fails, or a response has an unexpected status.
    pub fn measure(self, contender: &Contender, duration: Duration) -> BenchResult<PermitCost> {
        let redis = RedisProcess::start(OTHER_CORE)?;
        let server = ServerProcess::start(contender, &redis.url(), 1)?;
        let mut load = Load::connect(&[server.address()], 1, CONNECTIONS)?;
        let mut run = |duration| match self {
            Self::Low => load.run_at_rate(LOW_RATE, duration, 200),
            Self::Full => load.run(duration, 200),
        };
        run(WARM_UP)?;
        let (before, stopwatch) = (redis.usage()?, Stopwatch::start(&server.id().to_string())?);
        let tally = run(duration)?;
        let ((took, cpu), after) = (stopwatch.read()?, redis.usage()?);
        if tally.unexpected > 0 {
            return Err(format!("expected status 200, found {}", tally.last_unexpected).into());
        }
        let requests = tally.responses as f64;
        Ok(PermitCost {
            rate: requests / took.as_secs_f64(),
            script_calls: (after.script_calls - before.script_calls) / requests,
            server_us: cpu.as_secs_f64() * 1e6 / requests,
            redis_us: (after.cpu_us - before.cpu_us) / requests,
        })
    }
}
