//! Checks on Redis by so many tasks that it always has several commands to read at once: what each costs it.

use std::{rc::Rc, time::Duration};

use tokio::runtime::{self, Runtime};

use crate::{
    OTHER_CORE, Outcome,
    clients::{Asker, Way, keys},
    redis_process::RedisProcess,
    tasks::{self, Until},
};

/// How many tasks ask at once.
pub const TASKS: usize = 64;
/// Longer than everything takes: nothing leaves a log.
pub const WINDOW: Duration = Duration::from_secs(3600);

/// An empty Redis on a core of its own, the keys that it is asked for in turn, and those who ask.
pub struct OnRedis {
    redis: RedisProcess,
    runtime: Runtime,
    keys: Rc<[String]>,
}

impl OnRedis {
    /// With so many keys.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn start(count: u64) -> Outcome<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { redis: RedisProcess::start(OTHER_CORE)?, runtime, keys: keys(count) })
    }

    /// Somebody who asks whether there were at most so many of a key in [`WINDOW`].
    ///
    /// # Errors
    ///
    /// If Redis cannot be reached.
    pub fn asker(&self, way: Way, limit: u32) -> Outcome<Rc<Asker>> {
        self.runtime.block_on(Asker::open(way, &self.redis.url(), (limit, WINDOW)))
    }

    /// Microseconds of Redis' CPU time for each of so many checks, all of which are to be allowed, or none.
    ///
    /// # Errors
    ///
    /// If one was not.
    pub fn measure(&self, asker: &Rc<Asker>, checks: u64, is_allowed: bool) -> Outcome<f64> {
        let before = self.redis.usage()?;
        self.ask(asker, checks, 1, is_allowed)?;
        Ok((self.redis.usage()?.cpu_us - before.cpu_us) / checks as f64)
    }

    /// Takes so much of each key, at a hundred times or fewer. Only RateGuard can.
    ///
    /// # Errors
    ///
    /// If there is not so much.
    pub fn fill(&self, asker: &Rc<Asker>, units: u32) -> Outcome {
        let (piece, count) = (units.div_ceil(100).max(1), self.keys.len() as u64);
        self.ask(asker, u64::from(units / piece) * count, piece, true)?;
        let rest = units % piece;
        if rest > 0 { self.ask(asker, count, rest, true) } else { Ok(()) }
    }

    fn ask(&self, asker: &Rc<Asker>, checks: u64, cost: u32, is_allowed: bool) -> Outcome {
        let (asker, keys) = (asker.clone(), self.keys.clone());
        let check = move |number: u64| {
            let (asker, keys) = (asker.clone(), keys.clone());
            async move {
                let key = &keys[(number % keys.len() as u64) as usize];
                Ok(asker.ask(key, cost).await? == is_allowed)
            }
        };
        tasks::run(&self.runtime, TASKS, Until::Checks(checks), check)?;
        Ok(())
    }

    /// What it keeps for one of the keys.
    ///
    /// # Errors
    ///
    /// If it does not tell, or keeps nothing.
    pub fn bytes_of_a_key(&self) -> Outcome<f64> {
        let key: String = self.redis.ask(&["RANDOMKEY"])?;
        self.redis.ask(&["MEMORY", "USAGE", &key, "SAMPLES", "0"])
    }
}
