//! The cost of a check of one hot key in one process: in memory, with a lease, and on Redis.
//!
//! A loop without pauses would use a lease faster than Redis can grant the next one. So there are pauses between the
//! checks. The cost is the CPU time of the whole process, which includes the threads that request and return leases,
//! without the CPU time of the pauses.

use std::{
    thread,
    time::{Duration, Instant},
};

use actix_rateguard::{Algorithm, Key, Policy, RateGuard};
use cpu_time::ProcessTime;
use tokio::runtime;

use crate::{
    BenchResult, OTHER_CORE, TIMEOUT,
    redis_process::{RedisProcess, Usage},
};

/// The number of checks per millisecond.
const CHECKS_PER_MILLISECOND: u32 = 100;
/// The number of checks per millisecond on Redis, where each check waits for a round trip.
const CHECKS_PER_MILLISECOND_ON_REDIS: u32 = 4;
/// The pause after the checks of a millisecond.
const PAUSE: Duration = Duration::from_millis(1);
/// The time before the measurement, in which connections are opened and the first lease is granted.
const WARM_UP: Duration = Duration::from_millis(500);

/// Where the checks are decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decider {
    /// The memory store.
    Memory,
    /// Leases from Redis of up to this number of units, of a log or of a token bucket.
    Lease(u32, Algorithm),
    /// Redis.
    Redis,
}

/// The figures of a measurement.
#[derive(Clone, Copy, Debug)]
pub struct CheckCost {
    /// The CPU time of the process in nanoseconds per check.
    pub cpu_ns: f64,
    /// The number of script calls per check.
    pub script_calls: f64,
    /// The CPU time of Redis in microseconds per check.
    pub redis_us: f64,
    /// The part of the checks that a lease decided.
    pub leased: f64,
}

/// All deciders. The first one is the baseline of the others.
pub const DECIDERS: [Decider; 6] = [
    Decider::Memory,
    Decider::Lease(1_000, Algorithm::SlidingWindow),
    Decider::Lease(100, Algorithm::SlidingWindow),
    Decider::Lease(1_000, Algorithm::TokenBucket),
    Decider::Lease(100, Algorithm::TokenBucket),
    Decider::Redis,
];

impl Decider {
    /// The label in the table.
    #[must_use]
    pub fn label(self) -> String {
        match self {
            Self::Memory => "in memory".to_owned(),
            Self::Lease(units, algorithm) => {
                format!("Redis, `{algorithm}`, leases of up to {units} units")
            }
            Self::Redis => "Redis".to_owned(),
        }
    }

    fn checks_per_millisecond(self) -> u32 {
        if self == Self::Redis { CHECKS_PER_MILLISECOND_ON_REDIS } else { CHECKS_PER_MILLISECOND }
    }

    /// Measures checks of one key that are all admitted. `pause` is the CPU time of a pause.
    ///
    /// # Errors
    ///
    /// If a check is denied or has no decision.
    pub fn measure(self, duration: Duration, pause: Duration) -> BenchResult<CheckCost> {
        let redis = (self != Self::Memory).then(|| RedisProcess::start(OTHER_CORE)).transpose()?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let guard = match &redis {
            Some(redis) => {
                RateGuard::redis(redis.url()).prefix("bench").deadline(TIMEOUT).build()?
            }
            None => RateGuard::in_memory(),
        };
        let quotas = match self {
            Self::Lease(units, algorithm) => {
                format!("400000/400ms {algorithm} lease {units} for 100ms")
            }
            Self::Memory | Self::Redis => "400000/400ms".to_owned(),
        };
        let (policy, key) = (Policy::new("bench", quotas.as_str())?, Key::global());
        let run = |duration: Duration| {
            runtime.block_on(run(&guard, &policy, &key, self.checks_per_millisecond(), duration))
        };
        run(WARM_UP)?;

        let usage = || redis.as_ref().map_or(Ok(Usage::default()), RedisProcess::usage);
        let (before, cpu) = (usage()?, ProcessTime::now());
        let (checks, leased) = run(duration)?;
        let cpu = cpu.elapsed().saturating_sub(pause * (checks / self.checks_per_millisecond()));
        let after = usage()?;
        let checks = f64::from(checks);
        Ok(CheckCost {
            cpu_ns: cpu.as_secs_f64() * 1e9 / checks,
            script_calls: (after.script_calls - before.script_calls) / checks,
            redis_us: (after.cpu_us - before.cpu_us) / checks,
            leased: f64::from(leased) / checks,
        })
    }
}

/// Measures the CPU time of a pause between checks.
#[must_use]
pub fn measure_pause(duration: Duration) -> Duration {
    let (start, cpu, mut pauses) = (Instant::now(), ProcessTime::now(), 0);
    while pauses == 0 || start.elapsed() < duration {
        thread::sleep(PAUSE);
        pauses += 1;
    }
    cpu.elapsed() / pauses
}

/// Runs checks, and returns their number and the number of those that a lease decided.
async fn run(
    guard: &RateGuard,
    policy: &Policy,
    key: &Key,
    checks_per_millisecond: u32,
    duration: Duration,
) -> BenchResult<(u32, u32)> {
    let (start, mut checks, mut leased) = (Instant::now(), 0, 0);
    while start.elapsed() < duration {
        for _ in 0..checks_per_millisecond {
            let decision = guard.check(policy, key).await.map_err(|error| error.to_string())?;
            if !decision.is_allowed() {
                return Err(format!("check {checks} was denied").into());
            }
            checks += 1;
            leased += u32::from(decision.is_leased());
        }
        // The connection has a thread of its own, so this thread may sleep without a timer of the runtime.
        thread::sleep(PAUSE);
    }
    Ok((checks, leased))
}
