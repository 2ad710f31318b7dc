//! Calls of RateGuard's script without its client: measures the time inside Redis per check.

use std::{fs, path::Path};

use redis::{Cmd, Connection, Pipeline, Value};

use crate::{
    BenchResult, OTHER_CORE, clients::keys, redis_bench::WINDOW, redis_process::RedisProcess,
};

#[path = "../../rateguard-core/src/algorithm/script.rs"]
mod script;

/// The number of checks in a call of the script, as in a full batch of the Redis store.
pub const BATCH: usize = 32;

const PLAIN: &str = include_str!("plain.lua");

/// A script that decides checks.
#[derive(Clone, Debug)]
pub struct Script {
    /// The label in the tables.
    pub name: String,
    source: String,
    is_plain: bool,
}

impl Script {
    /// RateGuard's script.
    #[must_use]
    pub fn rate_guard() -> Self {
        Self {
            name: "**RateGuard**".to_owned(),
            source: script::SCRIPT.to_owned(),
            is_plain: false,
        }
    }

    /// RateGuard's script of another version with the same arguments.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn baseline(file: &Path) -> BenchResult<Self> {
        let name = format!("`{}`", file.file_name().unwrap_or_default().display());
        Ok(Self { name, source: fs::read_to_string(file)?, is_plain: false })
    }

    /// The plain script with a sorted set, which decides one check in a call.
    #[must_use]
    pub fn plain() -> Self {
        Self { name: "plain script".to_owned(), source: PLAIN.to_owned(), is_plain: true }
    }
}

/// The figures of one script.
#[derive(Clone, Copy, Debug)]
pub struct ScriptFigures {
    /// The time in the server of an allowed check, in microseconds.
    pub allowed_us: f64,
    /// The same for a denied check.
    pub denied_us: f64,
    /// The memory of a key that has used up its limit, in bytes.
    pub key_bytes: f64,
}

/// A script on a server of its own.
pub struct ScriptBench {
    redis: RedisProcess,
    connection: Connection,
    hash: String,
    is_plain: bool,
    algorithm: &'static str,
    limit: u32,
    /// The number of calls of the plain script, for the names of its members.
    calls: u64,
}

impl ScriptBench {
    /// Starts a server with this script, for checks with this limit in [`WINDOW`].
    ///
    /// # Errors
    ///
    /// If the server does not start, or rejects the script.
    pub fn start(script: &Script, algorithm: &'static str, limit: u32) -> BenchResult<Self> {
        let redis = RedisProcess::start(OTHER_CORE)?;
        let mut connection = redis.client()?;
        let hash = redis::cmd("SCRIPT").arg("LOAD").arg(&script.source).query(&mut connection)?;
        Ok(Self { redis, connection, hash, is_plain: script.is_plain, algorithm, limit, calls: 0 })
    }

    /// Measures checks of this many keys. A call has checks of [`BATCH`] different keys, whose logs differ in length.
    ///
    /// # Errors
    ///
    /// If the result of a check is not as expected.
    pub fn measure(mut self, count: usize) -> BenchResult<ScriptFigures> {
        let keys = keys(count as u64);
        let half = self.limit as usize / 2;
        // The keys of a call have used between none and a half of the limit.
        let used = |key: usize| key * half / count;
        for lap in 0..half {
            let behind: Vec<_> = spread(count).filter(|key| used(*key) > lap).collect();
            self.check_all(&keys, &behind)?;
        }
        let all: Vec<_> = spread(count).collect();
        let allowed_us = self.measure_laps(&keys, &all, half, true)?;
        for _ in 0..=half {
            self.check_all(&keys, &all)?;
        }
        let key_bytes =
            self.redis.command(&["MEMORY", "USAGE", &self.key(&keys[0]), "SAMPLES", "0"])?;
        let denied_us = self.measure_laps(&keys, &all, half.max(20), false)?;
        Ok(ScriptFigures { allowed_us, denied_us, key_bytes })
    }

    /// Measures calls with [`BATCH`] checks of one key.
    ///
    /// # Errors
    ///
    /// If a call fails.
    pub fn measure_one_key(mut self, calls: usize) -> BenchResult<f64> {
        let key = self.key("hot");
        self.reset_time()?;
        for _ in 0..calls {
            self.call(&[&key], &"1 1 ".repeat(BATCH)).exec(&mut self.connection)?;
        }
        Ok(self.time()? / (calls * BATCH) as f64)
    }

    fn measure_laps(
        &mut self,
        keys: &[String],
        order: &[usize],
        laps: usize,
        is_allowed: bool,
    ) -> BenchResult<f64> {
        self.reset_time()?;
        for _ in 0..laps {
            let admitted = self.check_all(keys, order)?;
            if admitted != if is_allowed { order.len() } else { 0 } {
                return Err(format!("{admitted} of {} checks were admitted", order.len()).into());
            }
        }
        Ok(self.time()? / (laps * order.len()) as f64)
    }

    /// Checks each of these keys once. Returns the number of admitted checks.
    fn check_all(&mut self, keys: &[String], order: &[usize]) -> BenchResult<usize> {
        if order.is_empty() {
            return Ok(0);
        }
        let mut pipeline = Pipeline::new();
        if self.is_plain {
            for key in order {
                self.calls += 1;
                let member = format!("{:016x}-{}", 1, self.calls);
                let mut command = redis::cmd("EVALSHA");
                command.arg(&self.hash).arg(1).arg(self.key(&keys[*key])).arg(self.limit);
                pipeline.add_command(command.arg(WINDOW.as_micros() as u64).arg(member).to_owned());
            }
        } else {
            for batch in order.chunks(BATCH) {
                let names: Vec<_> = batch.iter().map(|key| self.key(&keys[*key])).collect();
                pipeline.add_command(self.call(&names, ""));
            }
        }
        let replies: Vec<Value> = pipeline.query(&mut self.connection)?;
        Ok(replies.iter().map(admitted).sum())
    }

    /// The command for checks of these keys. `prelude.lua` documents the arguments.
    fn call(&self, keys: &[impl redis::ToRedisArgs], requests: &str) -> Cmd {
        let window = WINDOW.as_micros() as u64;
        // The fractions of a token, and the refill in a microsecond.
        let token =
            if self.algorithm == "token_bucket" { window / u64::from(self.limit) } else { 0 };
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.hash).arg(keys.len());
        keys.iter().for_each(|key| {
            command.arg(key);
        });
        command.arg("0123456789abcdef").arg(1).arg("bytes").arg("");
        command.arg(1).arg(self.algorithm).arg(window).arg(self.limit).arg(token).arg(1);
        command.arg(1).arg("check").arg(0).arg(1).arg(1).arg(1).arg(requests);
        command
    }

    fn key(&self, key: &str) -> String {
        format!("bench:{{{key:0>32}}}:api")
    }

    fn reset_time(&mut self) -> BenchResult {
        Ok(redis::cmd("CONFIG").arg("RESETSTAT").exec(&mut self.connection)?)
    }

    /// The time that all calls since the last reset have taken in the server, in microseconds.
    fn time(&mut self) -> BenchResult<f64> {
        let info: String = redis::cmd("INFO").arg("commandstats").query(&mut self.connection)?;
        let line = info.lines().find(|line| line.starts_with("cmdstat_evalsha:"));
        let field = line.and_then(|line| line.split(',').find_map(|it| it.strip_prefix("usec=")));
        Ok(field.ok_or("no time of EVALSHA")?.parse()?)
    }
}

/// The numbers of the keys, so that those of a batch are far from each other.
fn spread(count: usize) -> impl Iterator<Item = usize> {
    let batches = count / BATCH;
    (0..batches).flat_map(move |batch| (0..BATCH).map(move |index| index * batches + batch))
}

/// The number of admitted checks in a reply. A reply of RateGuard has the time, and then four numbers for each check.
fn admitted(reply: &Value) -> usize {
    match reply {
        Value::BulkString(bytes) => {
            let (numbers, _) = bytes.as_chunks::<8>();
            let first = numbers.iter().skip(1).step_by(4);
            first.filter(|number| u64::from_be_bytes(**number) == 1).count()
        }
        Value::Array(values) => usize::from(values.first() == Some(&Value::Int(1))),
        _ => 0,
    }
}
