//! Tests clocks that are stepped or frozen, and clients whose clocks differ.

use std::time::{Duration, Instant, SystemTime};

use actix_rateguard::{Algorithm, Key, Policy, RateGuard};
use futures_util::future::join_all;

use crate::support::{
    eventually,
    process::LoadGenerator,
    redis_server::{Location, RedisServer, packed_log_len, run},
    shim::Clock,
    skipped,
};

const WINDOW: Duration = Duration::from_secs(1);
const HOUR: i64 = 3_600;

/// A Redis server whose clock the test sets.
pub struct RedisWithClock {
    pub server: RedisServer,
    pub clock: Clock,
}

impl RedisWithClock {
    /// Starts the server. Returns `None` if there is no C compiler for the clock, or if the server does not use this
    /// clock.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// Starts the server with additional command line arguments.
    pub fn start_with(args: &[&str]) -> Option<Self> {
        let clock = Clock::new()?;
        let location = Location { wrapper: clock.wrapper(), ..Location::local() };
        let this = Self { server: RedisServer::start_at_location(location, args), clock };
        this.clock.set_offset(10 * HOUR);
        let start = Instant::now();
        // Some servers do not read the clock for each command, so the new time may take effect later.
        while this.now() < since_1970() + Duration::from_secs(9 * HOUR.unsigned_abs()) {
            if start.elapsed() > Duration::from_secs(5) {
                skipped("this build of the server reads another clock than that of the test");
                return None;
            }
        }
        this.set_offset(0);
        Some(this)
    }

    pub fn now(&self) -> Duration {
        let (seconds, micros): (u64, u64) = run(&mut self.server.client(), "TIME");
        Duration::from_secs(seconds) + Duration::from_micros(micros)
    }

    /// Sets the clock, and waits until the server uses the new time.
    fn set_offset(&self, seconds: i64) {
        self.clock.set_offset(seconds);
        eventually("the server uses its clock", || {
            let offset = self.now().as_secs_f64() - since_1970().as_secs_f64();
            ((offset - seconds as f64).abs() < 0.3).then_some(())
        });
    }

    /// Freezes the clock at `time`, and returns whether the server uses exactly this time.
    ///
    /// Some servers add the elapsed time of a different clock, so their time moves even if this clock is frozen.
    pub fn is_frozen_at(&self, time: Duration) -> bool {
        self.clock.freeze_at(time);
        let start = Instant::now();
        let mut readings = std::iter::repeat_with(|| self.now() == time).skip_while(|is_equal| {
            // Some servers do not read the clock for each command, so the new time may take effect later.
            !is_equal && start.elapsed() < Duration::from_secs(5)
        });
        readings.by_ref().take(100).all(|is_equal| is_equal)
    }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
}

/// Returns one policy for each algorithm. Each policy admits 3 requests per window.
fn policies(window: &str) -> [Policy; Algorithm::NAMES.len()] {
    Algorithm::NAMES.map(|(_, name)| Policy::new(name, format!("3/{window} {name}")).unwrap())
}

/// Sends 10 checks, and returns how many of them were admitted. Panics if a check fails.
async fn count_admitted(guard: &RateGuard, policy: &Policy, key: &Key) -> usize {
    let mut admitted = 0;
    for _ in 0..10 {
        admitted += usize::from(guard.check(policy, key).await.unwrap().is_allowed());
    }
    admitted
}

/// Returns whether a unit may count until the end of the next window.
const fn counts_for_two_windows(algorithm: Algorithm) -> bool {
    match algorithm {
        Algorithm::SlidingWindowCounter => true,
        Algorithm::SlidingWindow
        | Algorithm::FixedWindow
        | Algorithm::TokenBucket
        | Algorithm::Concurrency
        | Algorithm::Calendar => false,
    }
}

#[tokio::test]
async fn server_clock_step_back_neither_admits_nor_locks_out() {
    let Some(redis) = RedisWithClock::start() else { return };
    let (long, short) = (redis.server.guard("long"), redis.server.guard("short"));
    let mut offset = 0;
    for step in [1, HOUR, 24 * HOUR] {
        let key = Key::from(step);
        for policy in policies("365d") {
            assert_eq!(count_admitted(&long, &policy, &key).await, 3);
        }
        for policy in policies("1s") {
            assert!(count_admitted(&short, &policy, &key).await >= 3);
        }
        offset -= step;
        redis.set_offset(offset);
        for policy in policies("365d") {
            assert_eq!(count_admitted(&long, &policy, &key).await, 0, "{policy:?} {step}");
        }
        join_all(policies("1s").iter().map(async |policy| {
            let mut waits = 0;
            while let Some(wait) = short.check(policy, &key).await.unwrap().retry_after() {
                // The sliding window counter may deny requests until the end of the next window. Therefore the wait
                // may be as long as two windows.
                assert!(wait <= 2 * WINDOW, "{policy:?} {step}: {wait:?}");
                let algorithm: Algorithm = policy.name().parse().unwrap();
                assert!(wait <= WINDOW || counts_for_two_windows(algorithm), "{wait:?}");
                tokio::time::sleep(wait).await;
                waits += 1;
                assert!(waits < 3, "{policy:?} {step}");
            }
        }))
        .await;
    }
}

#[tokio::test]
async fn server_clock_step_forward_admits_at_most_one_extra_limit() {
    let Some(redis) = RedisWithClock::start() else { return };
    let guard = redis.server.guard("forward");
    let mut offset = 0;
    for policy in policies("365d") {
        let key = Key::global();
        assert_eq!(count_admitted(&guard, &policy, &key).await, 3, "{policy:?}");
        for (step, admitted) in [(1, 0), (2 * 365 * 24 * HOUR, 3), (1, 0)] {
            offset += step;
            redis.set_offset(offset);
            // The forward clock step must not make a check fail because of its deadline.
            assert_eq!(count_admitted(&guard, &policy, &key).await, admitted, "{policy:?} {step}");
        }
    }
}

#[test]
fn clients_with_different_clocks_share_one_limit() {
    let clocks = [-HOUR, 0, 24 * HOUR].map(|offset| {
        let clock = Clock::new()?;
        clock.set_offset(offset);
        Some(clock)
    });
    if clocks.iter().any(Option::is_none) {
        return;
    }
    let server = RedisServer::start();
    for (_, algorithm) in Algorithm::NAMES {
        let rate = format!("100/365d {algorithm}");
        let mut generators: Vec<_> = clocks
            .iter()
            .flatten()
            .map(|clock| {
                let numbers = [1, 8, 10];
                let wrapper = clock.wrapper();
                LoadGenerator::start_wrapped(&wrapper, &server.url(), algorithm, &rate, numbers)
            })
            .collect();
        generators.iter_mut().for_each(LoadGenerator::go);
        let tallies: Vec<_> = generators.into_iter().map(LoadGenerator::tally).collect();
        assert!(tallies.iter().all(|tally| tally.unanswered == 0), "{tallies:?}");
        let admitted: u64 = tallies.iter().map(|tally| tally.admitted[0]).sum();
        assert_eq!(admitted, 100, "{algorithm}: {tallies:?}");
    }
}

#[tokio::test]
async fn checks_in_one_microsecond_are_all_counted() {
    const CHECKS: u32 = 100_000;
    let Some(redis) = RedisWithClock::start() else { return };
    if !redis.is_frozen_at(Duration::from_secs(1_800_000_000)) {
        skipped("the clock of this server cannot be frozen");
        return;
    }
    let policy = Policy::new("p", format!("{CHECKS}/day")).unwrap();
    // Each guard uses its own name in its script calls, so the two guards behave like two processes.
    let guards = [redis.server.guard("same"), redis.server.guard("same")];
    let key = Key::global();
    let mut left = CHECKS;
    while left > 0 {
        let batch = left.min(4_000);
        let checks = (0..batch).map(|number| guards[number as usize % 2].check(&policy, &key));
        let admitted = join_all(checks).await.into_iter().filter(|it| {
            let decision = it.as_ref().unwrap();
            decision.is_allowed()
        });
        assert_eq!(admitted.count(), batch as usize);
        left -= batch;
    }
    for guard in &guards {
        assert!(!guard.check(&policy, &key).await.unwrap().is_allowed());
    }
    let mut client = redis.server.client();
    let names: Vec<String> = run(&mut client, "KEYS same:*");
    assert_eq!(packed_log_len(&mut client, &names[0]), CHECKS);
}
