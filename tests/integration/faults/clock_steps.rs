//! Tests random clock steps and crashes of the server, in a simulated time that only the test advances.
//!
//! After a crash, the server loads its saved data, although its clock may have changed.

use std::time::Duration;

use actix_rateguard::{Algorithm, Decision, Key, Policy, Quota, RateGuard};
use rand::{
    RngExt, SeedableRng,
    rngs::SmallRng,
    seq::{IndexedMutRandom, IndexedRandom},
};
use rateguard_tests::{
    algorithms::aligns_windows_to_clock,
    storm::{
        admissions::{Excess, excess},
        buckets::Take,
    },
};

use super::clocks::RedisWithClock;
use crate::{
    support::{eventually, rates::assert_has_every_algorithm},
    traces::seed,
};

/// The smallest duration in simulated time, in microseconds. The frozen clock of the server may still move by some
/// microseconds, so smaller durations would be inexact.
const TICK: u64 = 10_000;
/// The simulated time at the start of a test, in microseconds. It is later than the real time of any machine.
const START: u64 = 4_000_000_000_000_000;
const STEPS: u32 = 3_000;
/// The number of steps between two crashes of the server.
const CRASH_INTERVAL: u32 = 700;

const QUOTAS: [&str; 8] = [
    "3/1s",
    "4/100ms",
    "9/60s",
    "3/1s fixed_window",
    "9/60s fixed_window",
    "10/1s token_bucket burst 3",
    "9/60s token_bucket burst 9",
    "3/1s sliding_window_counter",
];

/// The true simulated time, and a Redis server whose clock may differ from it.
struct Clocks {
    redis: RedisWithClock,
    /// The true simulated time, in microseconds.
    now: u64,
    /// The difference between the server's clock and the true time, in microseconds. It is positive if the clock is
    /// ahead.
    offset: i64,
}

impl Clocks {
    /// Returns the time on the server's clock.
    fn server_time(&self) -> Duration {
        Duration::from_micros(self.now.saturating_add_signed(self.offset))
    }

    fn advance(&mut self, micros: u64) {
        self.now += micros;
        freeze_near(&self.redis, self.server_time());
    }

    fn step(&mut self, micros: i64) {
        self.offset += micros;
        freeze_near(&self.redis, self.server_time());
    }

    /// Kills the server, steps its clock by `micros`, and restarts it with its data.
    async fn crash(&mut self, micros: i64, guard: &RateGuard) {
        self.redis.server.kill();
        self.offset += micros;
        self.redis.clock.freeze_at(self.server_time());
        self.redis.server.restart_with_data();
        freeze_near(&self.redis, self.server_time());
        let probe = Policy::new("probe", "9/1s").unwrap();
        while guard.check(&probe, &Key::global()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Freezes the clock of the server at `time`, and waits until the server uses this time. Some servers do not read the
/// clock for each command, so they use the new time later.
fn freeze_near(redis: &RedisWithClock, time: Duration) {
    redis.clock.freeze_at(time);
    let near = Duration::from_micros(TICK / 2);
    eventually("the server uses its clock", || (redis.now().abs_diff(time) < near).then_some(()));
}

/// Returns a random duration in microseconds. The maximum is longer than any window.
fn random_duration(random: &mut SmallRng) -> u64 {
    let max = *[20, 150, 600, 10_000].choose(random).unwrap();
    random.random_range(0..max) * TICK
}

/// Returns the maximum `retry_after` of a denial, after any clock step.
fn longest_wait(quota: Quota) -> Duration {
    match quota.algorithm() {
        Algorithm::SlidingWindowCounter => 2 * quota.window(),
        Algorithm::TokenBucket => quota.window() * quota.capacity() / quota.limit(),
        Algorithm::SlidingWindow
        | Algorithm::FixedWindow
        | Algorithm::Concurrency
        | Algorithm::Calendar => quota.window(),
    }
}

fn ticks(time: Duration) -> u64 {
    (time.as_micros() as u64).next_multiple_of(TICK)
}

/// A bucket, which has one key and one quota.
struct Bucket {
    policy: Policy,
    quota: Quota,
    key: Key,
    /// The admissions since the last time when the clock was set forward.
    takes: Vec<Take>,
}

impl Bucket {
    fn all() -> Vec<Self> {
        let buckets = QUOTAS.iter().flat_map(|rate| {
            [1_u32, 2].map(|key| Self {
                policy: Policy::new(rate.replace(['/', ' '], "-"), *rate).unwrap(),
                quota: rate.parse().unwrap(),
                key: Key::from(key),
                takes: Vec::new(),
            })
        });
        buckets.collect()
    }

    /// Checks the key. If the store denies the check, returns the wait.
    async fn check(&mut self, guard: &RateGuard, now: u64, when: &str) -> Option<Duration> {
        let Self { policy, quota, key, takes } = self;
        let decision = guard.check(policy, key).await.unwrap();
        match decision.retry_after() {
            None => takes.push(take(now, &decision)),
            Some(wait) => assert!(wait <= longest_wait(*quota), "{when}, {quota}: {wait:?}"),
        }
        if !aligns_windows_to_clock(quota.algorithm()) {
            let excess = excess(*quota, takes, TICK);
            assert_eq!(excess, Excess::default(), "{when}, {quota}: {takes:?}");
        }
        decision.retry_after()
    }
}

fn take(now: u64, decision: &Decision) -> Take {
    // The reported time may be wrong by some microseconds, so it is rounded to the nearest tick.
    let free = (decision.reset_after().as_micros() as u64 + TICK / 2) / TICK * TICK;
    // The server's clock may be slow by some microseconds. If a check is at the end of a window, its time is
    // therefore set to a time before this end.
    let at = if free == 0 { now - 1 } else { now };
    Take { at, units: 1, free_at: now + free, refunds: Vec::new() }
}

#[tokio::test]
async fn clock_steps_admit_at_most_one_limit_between_forward_steps() {
    assert_has_every_algorithm("`QUOTAS`", QUOTAS);
    let arguments = ["--appendonly", "yes", "--appendfsync", "always"];
    let Some(redis) = RedisWithClock::start_with(&arguments) else { return };
    let seed = seed();
    let mut random = SmallRng::seed_from_u64(seed);
    let guard = redis.server.guard("steps");
    let mut clocks = Clocks { redis, now: START, offset: 0 };
    clocks.advance(0);
    let mut buckets = Bucket::all();
    for step in 1..=STEPS {
        let action = random.random_range(0..100);
        let duration = random_duration(&mut random) as i64;
        let clock_step = match action {
            0..4 => duration,
            4..8 => -duration,
            _ => 0,
        };
        if clock_step > 0 {
            buckets.iter_mut().for_each(|bucket| bucket.takes.clear());
        }
        if step % CRASH_INTERVAL == 0 {
            clocks.crash(clock_step, &guard).await;
        } else if action < 8 {
            clocks.step(clock_step);
        } else if action < 20 {
            clocks.advance(duration as u64);
        }
        let bucket = buckets.choose_mut(&mut random).unwrap();
        let when = format!("seed {seed}, step {step}");
        let mut wait = bucket.check(&guard, clocks.now, &when).await;
        if action >= 90 {
            while wait.is_none() {
                wait = bucket.check(&guard, clocks.now, &when).await;
            }
            // The clock may now be slower by some microseconds than before, so the test waits for one more tick.
            clocks.advance(ticks(wait.unwrap()) + TICK);
            assert_eq!(bucket.check(&guard, clocks.now, &when).await, None, "{when}: {wait:?}");
        }
    }
}

#[tokio::test]
async fn clock_step_back_during_check_loses_no_counts() {
    const STEP_BACK: Duration = Duration::from_secs(10);
    let Some(redis) = RedisWithClock::start_with(&[]) else { return };
    let guard = redis.server.guard("middle");
    let now = Duration::from_micros(START);
    // A check reads the clock fewer than 40 times, so these 40 iterations test a clock step after each time that a check
    // reads the clock.
    for readings in 0..40 {
        for (rate, room) in QUOTAS.iter().flat_map(|rate| [(*rate, 0), (*rate, 1)]) {
            let policy = Policy::new(rate.replace(['/', ' '], "-"), rate).unwrap();
            let key = Key::from(format!("{readings} {room}"));
            let check = async || guard.check(&policy, &key).await.unwrap();
            freeze_near(&redis, now);
            while check().await.remaining() > room {}
            redis.clock.freeze_until_read(now, readings, STEP_BACK);
            assert_eq!(check().await.is_allowed(), room == 1, "{rate}, {readings}, {room}");
            // If the check has read the clock fewer than `readings` times, the clock has not been set back yet.
            freeze_near(&redis, now - STEP_BACK);
            assert!(!check().await.is_allowed(), "{rate}, {readings}, {room}");
        }
    }
}
