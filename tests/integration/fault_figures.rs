//! What faults cost and how soon they are over. `scripts/test fault_figures -- --nocapture` prints the figures that the
//! README tells; here, they only have to be within an order of magnitude.

#![allow(clippy::print_stdout, reason = "it prints figures")]

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rateguard::{Key, Policy, RateGuard};

use crate::support::redis_server::{RedisServer, connections_so_far};

const DEADLINE: Duration = Duration::from_millis(100);
const TIMES: usize = 5;

fn policy() -> Policy {
    Policy::new("p", "1000000000/day fixed_window").unwrap()
}

/// Until there is a decision.
async fn decided(guard: &RateGuard) -> Duration {
    let start = Instant::now();
    let (policy, key) = (policy(), Key::global());
    while guard.check(&policy, &key).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(30), "no decision");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    start.elapsed()
}

/// Until there is none.
async fn lost(guard: &RateGuard) {
    let (policy, key) = (policy(), Key::global());
    let start = Instant::now();
    // Until also those have failed that the breaker waits for.
    let mut failed = 0;
    while failed < 20 {
        failed = if guard.check(&policy, &key).await.is_err() { failed + 1 } else { 0 };
        assert!(start.elapsed() < Duration::from_secs(30), "it goes on");
    }
}

fn quantile(times: &mut [Duration], part: f64) -> Duration {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * part) as usize]
}

fn print(what: &str, mut times: Vec<Duration>) -> Duration {
    let [median, p99, most] = [0.5, 0.99, 1.0].map(|part| quantile(&mut times, part));
    println!("{what:<44} median {median:>12.3?}  p99 {p99:>12.3?}  most {most:>12.3?}");
    most
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_hangs_costs_the_deadline_once_and_then_microseconds() {
    let redis = RedisServer::start();
    let guard = redis.settings("hang").deadline(DEADLINE).build().unwrap();
    decided(&guard).await;
    let timed = async || {
        let start = Instant::now();
        let answer = guard.check(&policy(), &Key::global()).await;
        (start.elapsed(), answer.is_ok())
    };
    redis.freeze();
    let all = join_all((0..1_000).map(|_| timed())).await;
    assert!(all.iter().all(|(_, decided)| !decided));
    let most =
        print("1,000 at once, as it begins to hang", all.into_iter().map(|it| it.0).collect());
    assert!(most < 10 * DEADLINE, "{most:?}");

    let mut waits = Vec::new();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(1) {
        waits.push(timed().await.0);
    }
    // But for the probes.
    let probes = waits.iter().filter(|wait| **wait > DEADLINE / 2).count();
    let quick = quantile(&mut waits, 0.9);
    print("one after the other, while it hangs", waits.clone());
    println!("{:<44} {probes} of {}", "of them probes", waits.len());
    assert!(quick < DEADLINE / 10 && probes < 30, "{quick:?} {probes}");
    redis.thaw();
}

#[tokio::test]
async fn every_fault_is_over_soon_after_its_end() {
    let mut redis = RedisServer::start();
    let guard = redis.settings("over").deadline(DEADLINE).build().unwrap();
    let set = |redis: &RedisServer, name: &str, value: &str| {
        redis::cmd("CONFIG").arg("SET").arg(name).arg(value).exec(&mut redis.client()).unwrap();
    };
    decided(&guard).await;
    let mut most = Vec::new();

    let mut times = Vec::new();
    for _ in 0..TIMES {
        redis.freeze();
        lost(&guard).await;
        redis.thaw();
        times.push(decided(&guard).await);
    }
    most.push(print("after a hang", times));

    let mut times = Vec::new();
    for _ in 0..TIMES {
        redis.kill();
        lost(&guard).await;
        redis.restart();
        times.push(decided(&guard).await);
    }
    most.push(print("after it was killed and is there again", times));

    let mut times = Vec::new();
    for _ in 0..TIMES {
        let mut client = redis.client();
        redis::cmd("REPLICAOF").arg("127.0.0.1").arg("1").exec(&mut client).unwrap();
        lost(&guard).await;
        redis::cmd("REPLICAOF").arg("NO").arg("ONE").exec(&mut client).unwrap();
        times.push(decided(&guard).await);
    }
    most.push(print("after it was a replica", times));

    let mut times = Vec::new();
    for _ in 0..TIMES {
        let mut client = redis.client();
        redis::cmd("CLIENT").arg("PAUSE").arg(1_500).arg("WRITE").exec(&mut client).unwrap();
        lost(&guard).await;
        redis::cmd("CLIENT").arg("UNPAUSE").exec(&mut client).unwrap();
        times.push(decided(&guard).await);
    }
    most.push(print("after a pause of writes, as in a failover", times));

    let mut times = Vec::new();
    for _ in 0..TIMES {
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
        lost(&guard).await;
        redis::cmd("CONFIG").arg("SET").arg("requirepass").arg("").exec(&mut client).unwrap();
        times.push(decided(&guard).await);
    }
    most.push(print("after a password that we do not have", times));

    // Many requests that wait for it find it by one probe, and do not connect each.
    redis.kill();
    lost(&guard).await;
    redis.restart();
    join_all((0..2_000).map(|_| decided(&guard))).await;
    let connections = connections_so_far(&mut redis.client());
    println!("{:<44} {connections}", "connections after 2,000 have waited for it");
    assert!(connections < 20, "{connections}");

    for most in most {
        assert!(most < Duration::from_secs(10), "{most:?}");
    }
}
