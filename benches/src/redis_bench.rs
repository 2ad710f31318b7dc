//! Checks on Redis by 64 concurrent tasks, so that Redis always reads several commands together: measures its CPU time
//! per check.

use std::{rc::Rc, time::Duration};

use tokio::runtime::{self, Runtime};

use crate::{
    BenchResult, OTHER_CORE,
    clients::{CheckClient, ClientKind, keys},
    redis_process::RedisProcess,
    tasks::{self, Until},
};

/// The number of concurrent tasks.
pub const TASKS: usize = 64;
/// Longer than any measurement, so that no entry leaves a log.
pub const WINDOW: Duration = Duration::from_secs(3600);

/// An empty Redis on its own core, and the keys that are checked in turn.
pub struct RedisBench {
    redis: RedisProcess,
    runtime: Runtime,
    keys: Rc<[String]>,
}

impl RedisBench {
    /// Starts Redis for checks of this many keys.
    ///
    /// # Errors
    ///
    /// If Redis does not start.
    pub fn start(count: u64) -> BenchResult<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { redis: RedisProcess::start(OTHER_CORE)?, runtime, keys: keys(count) })
    }

    /// Connects a client with this limit in [`WINDOW`].
    ///
    /// # Errors
    ///
    /// If Redis cannot be reached.
    pub fn client(&self, kind: ClientKind, limit: u32) -> BenchResult<Rc<CheckClient>> {
        self.runtime.block_on(CheckClient::open(kind, &self.redis.url(), (limit, WINDOW)))
    }

    /// The CPU time of Redis in microseconds per check. All checks are expected to be allowed, or all to be denied.
    ///
    /// # Errors
    ///
    /// If the result of a check was not as expected.
    pub fn measure(
        &self,
        client: &Rc<CheckClient>,
        checks: u64,
        is_allowed: bool,
    ) -> BenchResult<f64> {
        let before = self.redis.usage()?;
        self.run_checks(client, checks, 1, is_allowed)?;
        Ok((self.redis.usage()?.cpu_us - before.cpu_us) / checks as f64)
    }

    /// Takes this many units of each key, with at most 100 checks per key, and one more for the rest. Only RateGuard
    /// supports it.
    ///
    /// # Errors
    ///
    /// If a check was denied.
    pub fn fill(&self, client: &Rc<CheckClient>, units: u32) -> BenchResult {
        let (piece, count) = (units.div_ceil(100).max(1), self.keys.len() as u64);
        self.run_checks(client, u64::from(units / piece) * count, piece, true)?;
        let rest = units % piece;
        if rest > 0 { self.run_checks(client, count, rest, true) } else { Ok(()) }
    }

    fn run_checks(
        &self,
        client: &Rc<CheckClient>,
        checks: u64,
        cost: u32,
        is_allowed: bool,
    ) -> BenchResult {
        let (client, keys) = (client.clone(), self.keys.clone());
        let check = move |number: u64| {
            let (client, keys) = (client.clone(), keys.clone());
            async move {
                let key = &keys[(number % keys.len() as u64) as usize];
                Ok(client.check(key, cost).await? == is_allowed)
            }
        };
        tasks::run(&self.runtime, TASKS, Until::Checks(checks), check)?;
        Ok(())
    }

    /// The memory in bytes that Redis uses for one of the keys.
    ///
    /// # Errors
    ///
    /// If Redis has no key, or does not report the memory.
    pub fn bytes_of_a_key(&self) -> BenchResult<f64> {
        let key: String = self.redis.command(&["RANDOMKEY"])?;
        self.redis.command(&["MEMORY", "USAGE", &key, "SAMPLES", "0"])
    }
}
