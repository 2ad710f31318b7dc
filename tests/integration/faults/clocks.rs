//! Clocks that are set, that differ, or that stand still.

use std::time::{Duration, Instant, SystemTime};

use futures_util::future::join_all;
use rateguard::{Algorithm, Key, Policy, RateGuard};

use crate::support::{
    eventually,
    process::Hammer,
    redis_server::{Place, RedisServer, logged, run},
    shim::Clock,
    skipped,
};

const WINDOW: Duration = Duration::from_secs(1);
const HOUR: i64 = 3_600;

/// A server whose clock is ours to set.
pub(super) struct Clocked {
    pub(super) server: RedisServer,
    pub(super) clock: Clock,
}

impl Clocked {
    /// `None` where there is no compiler for it, or the server does not look at it.
    fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// With further command-line arguments.
    pub(super) fn start_with(args: &[&str]) -> Option<Self> {
        let clock = Clock::new()?;
        let place = Place { within: clock.within(), ..Place::usual() };
        let this = Self { server: RedisServer::start_in(place, args), clock };
        this.clock.is_ahead_by(10 * HOUR);
        let start = Instant::now();
        // Some servers look at the clock only now and then.
        while this.now() < since_1970() + Duration::from_secs(9 * HOUR.unsigned_abs()) {
            if start.elapsed() > Duration::from_secs(5) {
                skipped("this build of the server asks another clock than ours");
                return None;
            }
        }
        this.is_ahead_by(0);
        Some(this)
    }

    pub(super) fn now(&self) -> Duration {
        let (seconds, micros): (u64, u64) = run(&mut self.server.client(), "TIME");
        Duration::from_secs(seconds) + Duration::from_micros(micros)
    }

    /// Sets the clock, and waits until the server has seen it.
    fn is_ahead_by(&self, seconds: i64) {
        self.clock.is_ahead_by(seconds);
        eventually("the server sees its clock", || {
            let ahead = self.now().as_secs_f64() - since_1970().as_secs_f64();
            ((ahead - seconds as f64).abs() < 0.3).then_some(())
        });
    }

    /// Whether it stands still there: some servers add what another clock says.
    fn stands_still_at(&self, time: Duration) -> bool {
        self.clock.stands_at(time);
        let start = Instant::now();
        let mut readings = std::iter::repeat_with(|| self.now() == time).skip_while(|is_there| {
            // Some look at the clock only now and then.
            !is_there && start.elapsed() < Duration::from_secs(5)
        });
        readings.by_ref().take(100).all(|is_there| is_there)
    }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
}

/// A policy of three in this window, for each algorithm.
fn of_every_algorithm(window: &str) -> [Policy; 4] {
    Algorithm::NAMES.map(|(_, name)| Policy::new(name, format!("3/{window} {name}")).unwrap())
}

/// How many of ten are admitted. There is always a decision.
async fn take(guard: &RateGuard, policy: &Policy, key: &Key) -> usize {
    let mut admitted = 0;
    for _ in 0..10 {
        admitted += usize::from(guard.check(policy, key).await.unwrap().is_allowed());
    }
    admitted
}

#[tokio::test]
async fn a_server_clock_that_was_set_back_admits_nobody_and_locks_nobody_out() {
    let Some(clocked) = Clocked::start() else { return };
    let (long, short) = (clocked.server.guard("long"), clocked.server.guard("short"));
    let mut ahead = 0;
    for step in [1, HOUR, 24 * HOUR] {
        let key = Key::from(step);
        for policy in of_every_algorithm("365d") {
            assert_eq!(take(&long, &policy, &key).await, 3);
        }
        for policy in of_every_algorithm("1s") {
            assert!(take(&short, &policy, &key).await >= 3);
        }
        ahead -= step;
        clocked.is_ahead_by(ahead);
        for policy in of_every_algorithm("365d") {
            assert_eq!(take(&long, &policy, &key).await, 0, "{policy:?} {step}");
        }
        join_all(of_every_algorithm("1s").iter().map(async |policy| {
            let mut waits = 0;
            while let Some(wait) = short.check(policy, &key).await.unwrap().retry_after() {
                // The counter of two windows has to see the next one begin, and some of it go by.
                assert!(wait <= 2 * WINDOW, "{policy:?} {step}: {wait:?}");
                assert!(wait <= WINDOW || policy.name() == "sliding_window_counter", "{wait:?}");
                tokio::time::sleep(wait).await;
                waits += 1;
                assert!(waits < 3, "{policy:?} {step}");
            }
        }))
        .await;
    }
}

#[tokio::test]
async fn a_server_clock_that_was_set_forward_admits_one_more_limit_at_the_most() {
    let Some(clocked) = Clocked::start() else { return };
    let guard = clocked.server.guard("forward");
    let mut ahead = 0;
    for policy in of_every_algorithm("365d") {
        let key = Key::global();
        assert_eq!(take(&guard, &policy, &key).await, 3, "{policy:?}");
        for (step, admitted) in [(1, 0), (2 * 365 * 24 * HOUR, 3), (1, 0)] {
            ahead += step;
            clocked.is_ahead_by(ahead);
            // There is a decision at once: it does not come too late.
            assert_eq!(take(&guard, &policy, &key).await, admitted, "{policy:?} {step}");
        }
    }
}

#[test]
fn clients_whose_clocks_differ_are_one_limit() {
    let clocks = [-HOUR, 0, 24 * HOUR].map(|ahead| {
        let clock = Clock::new()?;
        clock.is_ahead_by(ahead);
        Some(clock)
    });
    if clocks.iter().any(Option::is_none) {
        return;
    }
    let server = RedisServer::start();
    for (_, algorithm) in Algorithm::NAMES {
        let rate = format!("100/365d {algorithm}");
        let mut hammers: Vec<_> = clocks
            .iter()
            .flatten()
            .map(|clock| {
                let numbers = [1, 8, 10];
                let within = clock.within();
                Hammer::start_within(&within, &server.url(), algorithm, &rate, numbers)
            })
            .collect();
        hammers.iter_mut().for_each(Hammer::go);
        let tallies: Vec<_> = hammers.into_iter().map(Hammer::tally).collect();
        assert!(tallies.iter().all(|tally| tally.unanswered == 0), "{tallies:?}");
        let admitted: u64 = tallies.iter().map(|tally| tally.admitted[0]).sum();
        assert_eq!(admitted, 100, "{algorithm}: {tallies:?}");
    }
}

#[tokio::test]
async fn a_hundred_thousand_checks_of_one_microsecond_are_so_many() {
    const CHECKS: u32 = 100_000;
    let Some(clocked) = Clocked::start() else { return };
    if !clocked.stands_still_at(Duration::from_secs(1_800_000_000)) {
        skipped("the clock of this server does not stand still");
        return;
    }
    let policy = Policy::new("p", format!("{CHECKS}/day")).unwrap();
    // As two processes with a name each.
    let guards = [clocked.server.guard("same"), clocked.server.guard("same")];
    let key = Key::global();
    let mut left = CHECKS;
    while left > 0 {
        let many = left.min(4_000);
        let checks = (0..many).map(|number| guards[number as usize % 2].check(&policy, &key));
        let admitted = join_all(checks).await.into_iter().filter(|it| {
            let decision = it.as_ref().unwrap();
            decision.is_allowed()
        });
        assert_eq!(admitted.count(), many as usize);
        left -= many;
    }
    for guard in &guards {
        assert!(!guard.check(&policy, &key).await.unwrap().is_allowed());
    }
    let mut client = clocked.server.client();
    let names: Vec<String> = run(&mut client, "KEYS same:*");
    assert_eq!(logged(&mut client, &names[0]), CHECKS);
}
