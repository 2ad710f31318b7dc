//! A clock that is set back and forward again and again, and a server that dies and reads under that clock what it had
//! written, in a time that passes when the test says so.

use std::time::Duration;

use rand::{
    RngExt, SeedableRng,
    rngs::SmallRng,
    seq::{IndexedMutRandom, IndexedRandom},
};
use rateguard::{Algorithm, Decision, Key, Policy, Quota, RateGuard};
use rateguard_tests::storm::{
    admissions::{Excess, excess},
    buckets::Taking,
};

use super::clocks::Clocked;
use crate::{support::eventually, traces::seed};

/// All that happens is a multiple of this apart, as a clock that stands still may move by some microseconds.
const TICK: u64 = 10_000;
/// Later than any machine's clock.
const START: u64 = 4_000_000_000_000_000;
const STEPS: u32 = 3_000;
/// After so many steps the server dies.
const DEATH: u32 = 700;

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

/// A clock that is wrong, and a true one.
struct Clocks {
    clocked: Clocked,
    /// The true time, in microseconds.
    now: u64,
    /// By how much the server's clock is ahead of it.
    ahead: i64,
}

impl Clocks {
    /// What the server's clock shows.
    fn wrong(&self) -> Duration {
        Duration::from_micros(self.now.saturating_add_signed(self.ahead))
    }

    fn pass(&mut self, micros: u64) {
        self.now += micros;
        stands_near(&self.clocked, self.wrong());
    }

    fn set_by(&mut self, micros: i64) {
        self.ahead += micros;
        stands_near(&self.clocked, self.wrong());
    }

    /// The server dies, and its clock is set by so much before it is back.
    async fn die(&mut self, micros: i64, guard: &RateGuard) {
        self.clocked.server.kill();
        self.ahead += micros;
        self.clocked.clock.stands_at(self.wrong());
        self.clocked.server.revive();
        stands_near(&self.clocked, self.wrong());
        let probe = Policy::new("probe", "9/1s").unwrap();
        while guard.check(&probe, &Key::global()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// It stands still, but for what some servers add that look at it only now and then.
fn stands_near(clocked: &Clocked, time: Duration) {
    clocked.clock.stands_at(time);
    let near = Duration::from_micros(TICK / 2);
    eventually("the server sees its clock", || (clocked.now().abs_diff(time) < near).then_some(()));
}

/// From nothing at all to far more than any window.
fn some_time(random: &mut SmallRng) -> u64 {
    let most = *[20, 150, 600, 10_000].choose(random).unwrap();
    random.random_range(0..most) * TICK
}

/// The longest wait that a denial may tell, however the clock was set.
fn longest_wait(quota: Quota) -> Duration {
    match quota.algorithm() {
        Algorithm::SlidingWindowCounter => 2 * quota.window(),
        Algorithm::TokenBucket => quota.window() * quota.capacity() / quota.limit(),
        _ => quota.window(),
    }
}

fn ticks(time: Duration) -> u64 {
    (time.as_micros() as u64).next_multiple_of(TICK)
}

/// One key under one quota.
struct Bucket {
    policy: Policy,
    quota: Quota,
    key: Key,
    /// Since the clock was last set forward.
    takings: Vec<Taking>,
}

impl Bucket {
    fn all() -> Vec<Self> {
        let buckets = QUOTAS.iter().flat_map(|rate| {
            [1_u32, 2].map(|key| Self {
                policy: Policy::new(rate.replace(['/', ' '], "-"), *rate).unwrap(),
                quota: rate.parse().unwrap(),
                key: Key::from(key),
                takings: Vec::new(),
            })
        });
        buckets.collect()
    }

    /// How long to wait, if it is denied.
    async fn check(&mut self, guard: &RateGuard, now: u64, when: &str) -> Option<Duration> {
        let Self { policy, quota, key, takings } = self;
        let decision = guard.check(policy, key).await.unwrap();
        match decision.retry_after() {
            None => takings.push(taking(now, &decision)),
            Some(wait) => assert!(wait <= longest_wait(*quota), "{when}, {quota}: {wait:?}"),
        }
        // The windows of this one are the clock's.
        if quota.algorithm() != Algorithm::SlidingWindowCounter {
            let excess = excess(*quota, takings);
            assert_eq!(excess, Excess::default(), "{when}, {quota}: {takings:?}");
        }
        decision.retry_after()
    }
}

fn taking(now: u64, decision: &Decision) -> Taking {
    // To the nearest.
    let free = (decision.reset_after().as_micros() as u64 + TICK / 2) / TICK * TICK;
    // A clock that is some microseconds off was just before the end of a window still, not at it.
    let at = if free == 0 { now - 1 } else { now };
    Taking { at, units: 1, free_at: now + free, given_back: Vec::new() }
}

#[tokio::test]
async fn however_the_clock_is_set_no_more_is_admitted_between_two_steps_forward_than_the_limit() {
    let arguments = ["--appendonly", "yes", "--appendfsync", "always"];
    let Some(clocked) = Clocked::start_with(&arguments) else { return };
    let seed = seed();
    let mut random = SmallRng::seed_from_u64(seed);
    let guard = clocked.server.guard("steps");
    let mut clocks = Clocks { clocked, now: START, ahead: 0 };
    clocks.pass(0);
    let mut buckets = Bucket::all();
    for step in 1..=STEPS {
        let what = random.random_range(0..100);
        let by = some_time(&mut random) as i64;
        let set_by = match what {
            0..4 => by,
            4..8 => -by,
            _ => 0,
        };
        if set_by > 0 {
            buckets.iter_mut().for_each(|bucket| bucket.takings.clear());
        }
        if step % DEATH == 0 {
            clocks.die(set_by, &guard).await;
        } else if what < 8 {
            clocks.set_by(set_by);
        } else if what < 20 {
            clocks.pass(by as u64);
        }
        let bucket = buckets.choose_mut(&mut random).unwrap();
        let when = format!("seed {seed}, step {step}");
        let mut wait = bucket.check(&guard, clocks.now, &when).await;
        if what >= 90 {
            while wait.is_none() {
                wait = bucket.check(&guard, clocks.now, &when).await;
            }
            // One more, as it may stand a little earlier than when the places were taken.
            clocks.pass(ticks(wait.unwrap()) + TICK);
            assert_eq!(bucket.check(&guard, clocks.now, &when).await, None, "{when}: {wait:?}");
        }
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_in_the_middle_of_a_check_lets_nothing_be_forgotten() {
    const BACK: Duration = Duration::from_secs(10);
    let Some(clocked) = Clocked::start_with(&[]) else { return };
    let guard = clocked.server.guard("middle");
    let now = Duration::from_micros(START);
    // More often than that the clock is not read for a check.
    for readings in 0..40 {
        for (rate, room) in QUOTAS.iter().flat_map(|rate| [(*rate, 0), (*rate, 1)]) {
            let policy = Policy::new(rate.replace(['/', ' '], "-"), rate).unwrap();
            let key = Key::from(format!("{readings} {room}"));
            let check = async || guard.check(&policy, &key).await.unwrap();
            stands_near(&clocked, now);
            while check().await.remaining() > room {}
            clocked.clock.stands_until_read(now, readings, BACK);
            assert_eq!(check().await.is_allowed(), room == 1, "{rate}, {readings}, {room}");
            // By then it is back, at the latest.
            stands_near(&clocked, now - BACK);
            assert!(!check().await.is_allowed(), "{rate}, {readings}, {room}");
        }
    }
}
