//! Measures how much a fault delays checks, and how long it takes until the store decides again.
//!
//! The command `scripts/test fault_figures -- --nocapture` prints the figures of docs/redis-failures.md. The assertions only
//! check the order of magnitude.

#![allow(clippy::print_stdout, reason = "it prints figures")]

use std::time::{Duration, Instant};

use actix_rateguard::{Key, Policy, RateGuard};
use futures_util::future::join_all;

use crate::support::redis_server::{RedisServer, total_connections};

const DEADLINE: Duration = Duration::from_millis(100);
const ROUNDS: usize = 5;

fn policy() -> Policy {
    Policy::new("p", "1000000000/day fixed_window").unwrap()
}

/// Waits until the store decides a check, and returns the duration of this wait.
async fn wait_for_decision(guard: &RateGuard) -> Duration {
    let start = Instant::now();
    let (policy, key) = (policy(), Key::global());
    while guard.check(&policy, &key).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(30), "no decision");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    start.elapsed()
}

/// Waits until 20 successive checks have failed.
async fn wait_for_failure(guard: &RateGuard) {
    let (policy, key) = (policy(), Key::global());
    let start = Instant::now();
    // After 20 failures, the circuit breaker is also open.
    let mut failed = 0;
    while failed < 20 {
        failed = if guard.check(&policy, &key).await.is_err() { failed + 1 } else { 0 };
        assert!(start.elapsed() < Duration::from_secs(30), "checks still succeed");
    }
}

fn quantile(times: &mut [Duration], fraction: f64) -> Duration {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * fraction) as usize]
}

fn print(label: &str, mut times: Vec<Duration>) -> Duration {
    let [median, p99, max] = [0.5, 0.99, 1.0].map(|fraction| quantile(&mut times, fraction));
    println!("{label:<44} median {median:>12.3?}  p99 {p99:>12.3?}  max {max:>12.3?}");
    max
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_redis_costs_one_deadline_then_microseconds() {
    let redis = RedisServer::start();
    let guard = redis.settings("hang").deadline(DEADLINE).build().unwrap();
    wait_for_decision(&guard).await;
    let timed = async || {
        let start = Instant::now();
        let result = guard.check(&policy(), &Key::global()).await;
        (start.elapsed(), result.is_ok())
    };
    redis.freeze();
    let all = join_all((0..1_000).map(|_| timed())).await;
    assert!(all.iter().all(|(_, decided)| !decided));
    let max = print(
        "1,000 concurrent checks, as Redis freezes",
        all.into_iter().map(|it| it.0).collect(),
    );
    assert!(max < 10 * DEADLINE, "{max:?}");

    let mut waits = Vec::new();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(1) {
        waits.push(timed().await.0);
    }
    // While the circuit breaker is open, the guard sends only a few checks (probes) to Redis. Only these checks wait
    // for their deadline.
    let probes = waits.iter().filter(|wait| **wait > DEADLINE / 2).count();
    let p90 = quantile(&mut waits, 0.9);
    print("checks one by one, while Redis is frozen", waits.clone());
    println!("{:<44} {probes} of {}", "probes among them", waits.len());
    assert!(p90 < DEADLINE / 10 && probes < 30, "{p90:?} {probes}");
    redis.thaw();
}

#[tokio::test]
async fn decisions_resume_soon_after_every_fault() {
    let mut redis = RedisServer::start();
    let guard = redis.settings("over").deadline(DEADLINE).build().unwrap();
    let set = |redis: &RedisServer, name: &str, value: &str| {
        redis::cmd("CONFIG").arg("SET").arg(name).arg(value).exec(&mut redis.client()).unwrap();
    };
    wait_for_decision(&guard).await;
    let mut max_times = Vec::new();

    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        redis.freeze();
        wait_for_failure(&guard).await;
        redis.thaw();
        times.push(wait_for_decision(&guard).await);
    }
    max_times.push(print("after a freeze", times));

    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        redis.kill();
        wait_for_failure(&guard).await;
        redis.restart();
        times.push(wait_for_decision(&guard).await);
    }
    max_times.push(print("after a kill and a restart", times));

    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let mut client = redis.client();
        redis::cmd("REPLICAOF").arg("127.0.0.1").arg("1").exec(&mut client).unwrap();
        wait_for_failure(&guard).await;
        redis::cmd("REPLICAOF").arg("NO").arg("ONE").exec(&mut client).unwrap();
        times.push(wait_for_decision(&guard).await);
    }
    max_times.push(print("after a demotion to a replica", times));

    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let mut client = redis.client();
        redis::cmd("CLIENT").arg("PAUSE").arg(1_500).arg("WRITE").exec(&mut client).unwrap();
        wait_for_failure(&guard).await;
        redis::cmd("CLIENT").arg("UNPAUSE").exec(&mut client).unwrap();
        times.push(wait_for_decision(&guard).await);
    }
    max_times.push(print("after a pause of writes, as in a failover", times));

    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let mut client = redis.client();
        set(&redis, "requirepass", "other");
        redis::cmd("AUTH").arg("other").exec(&mut client).unwrap();
        redis::cmd("CLIENT")
            .arg("KILL")
            .arg("TYPE")
            .arg("normal")
            .arg("SKIPME")
            .arg("yes")
            .exec(&mut client)
            .unwrap();
        wait_for_failure(&guard).await;
        redis::cmd("CONFIG").arg("SET").arg("requirepass").arg("").exec(&mut client).unwrap();
        times.push(wait_for_decision(&guard).await);
    }
    max_times.push(print("after a password change", times));

    // Many checks wait for Redis, but the guard must not open a connection for each of them.
    redis.kill();
    wait_for_failure(&guard).await;
    redis.restart();
    join_all((0..2_000).map(|_| wait_for_decision(&guard))).await;
    let connections = total_connections(&mut redis.client());
    println!("{:<44} {connections}", "connections after 2,000 waiting checks");
    assert!(connections < 20, "{connections}");

    for max in max_times {
        assert!(max < Duration::from_secs(10), "{max:?}");
    }
}
