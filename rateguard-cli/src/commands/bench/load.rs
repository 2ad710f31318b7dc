//! The load of the measurement, and the removal of its keys.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix_rateguard_core::{Key, Policy, RateGuard};
use tokio::task::JoinSet;

use super::measurements::{Measurements, Run};
use crate::{
    exit::Failure,
    target::{RedisTarget, failure_of},
};

/// The deadline of the checks. It is long, so that slow checks are measured and do not fail.
const DEADLINE: Duration = Duration::from_secs(5);
/// The number of keys of the load. Each of them needs less than 1 KB in Redis.
const KEYS: usize = 1_000;
/// The numbers of simultaneous checks that are measured.
const TASKS: [usize; 3] = [8, 64, 256];
/// The number of simultaneous checks of the hot key.
const HOT_TASKS: usize = 64;

/// The guard and the keys of the measurement.
pub(super) struct Load {
    redis: RedisTarget,
    /// A second guard, which has no leases.
    cleaner: RedisTarget,
    keys: Arc<[Key]>,
    policy: Policy,
    hot: Policy,
    leased: Policy,
}

/// What a task does for each of its measurements.
#[derive(Clone, Copy)]
enum Step {
    Peek,
    Check,
}

impl Load {
    pub(super) fn open(url: &str, prefix: &str) -> Result<Self, Failure> {
        let open = || {
            let builder = RateGuard::redis(url).prefix(prefix).deadline(DEADLINE);
            RedisTarget::of(builder.denial_cache_ttl(Duration::ZERO))
        };
        let policy = |name, rate| Policy::new(name, rate).map_err(Failure::problem);
        Ok(Self {
            redis: open()?,
            cleaner: open()?,
            keys: (0..KEYS).map(Key::from).collect(),
            policy: policy("checks", "1000/10s")?,
            hot: policy("hot", "1000000/second token_bucket")?,
            leased: policy("leased", "1000000/second token_bucket lease 100 for 200ms")?,
        })
    }

    /// Measures for about this long.
    pub(super) fn measure(&self, length: Duration) -> Result<Measurements, Failure> {
        // The first call opens the connection and loads the script.
        let first = self.redis.run(self.redis.guard.request(&self.policy, &self.keys[0]).check());
        first.map_err(|unavailable| failure_of(&unavailable))?;
        let run = |policy, keys: &[Key], tasks, step, part: u32| {
            self.redis.run(run(
                &self.redis.guard,
                policy,
                keys.into(),
                tasks,
                step,
                length * part / 10,
            ))
        };
        let one = &self.keys[..1];
        Ok(Measurements {
            round_trip: run(&self.policy, &self.keys, 1, Step::Peek, 1),
            check: run(&self.policy, &self.keys, 1, Step::Check, 2),
            concurrent: TASKS
                .into_iter()
                .map(|tasks| (tasks, run(&self.policy, &self.keys, tasks, Step::Check, 1)))
                .collect(),
            hot_key: run(&self.hot, one, HOT_TASKS, Step::Check, 2),
            leased_key: run(&self.leased, one, HOT_TASKS, Step::Check, 2),
        })
    }

    /// Deletes the keys of the measurement. The two token buckets keep the time of the deletion, and expire 1 s later.
    /// All keys expire in any case, so a failure has no effect.
    pub(super) fn clean_up(self) {
        let Self { redis, cleaner, keys, policy, hot, leased } = self;
        // This returns the units of leases, which would otherwise be written after the deletion.
        redis.run(redis.guard.close());
        cleaner.run(async {
            let mut resets = JoinSet::new();
            for policies in [vec![policy], vec![hot, leased]] {
                let keys = if policies.len() == 1 { &keys[..] } else { &keys[..1] };
                for (policy, key) in
                    policies.iter().flat_map(|policy| keys.iter().map(move |key| (policy, key)))
                {
                    let (guard, policy, key) = (cleaner.guard.clone(), policy.clone(), *key);
                    resets.spawn(async move { guard.reset(&policy, &key).await.is_ok() });
                }
            }
            while resets.join_next().await.is_some() {}
            cleaner.guard.close().await;
        });
    }
}

/// Runs this many tasks until the time is over. Each task makes one check at a time.
async fn run(
    guard: &RateGuard,
    policy: &Policy,
    keys: Arc<[Key]>,
    tasks: usize,
    step: Step,
    length: Duration,
) -> Run {
    let start = Instant::now();
    let mut running = JoinSet::new();
    for task in 0..tasks {
        let (guard, policy, keys) = (guard.clone(), policy.clone(), Arc::clone(&keys));
        running.spawn(async move {
            let (mut durations, mut failed) = (Vec::new(), 0);
            // The tasks begin at different keys, so that few of them check the same key at the same time.
            let mut next = task * keys.len() / tasks;
            while start.elapsed() < length {
                let request = guard.request(&policy, &keys[next % keys.len()]);
                next += 1;
                let begin = Instant::now();
                let result = match step {
                    Step::Peek => request.peek().await,
                    Step::Check => request.check().await,
                };
                match result {
                    Ok(_) => durations.push(begin.elapsed()),
                    Err(_) => failed += 1,
                }
            }
            (durations, failed)
        });
    }
    let (mut durations, mut failed) = (Vec::new(), 0);
    while let Some(result) = running.join_next().await {
        if let Ok((more, errors)) = result {
            durations.extend(more);
            failed += errors;
        }
    }
    Run::new(durations, failed, start.elapsed())
}
