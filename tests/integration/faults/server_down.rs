//! Tests a Redis server that is unreachable, killed or restarted. During the fault, no HTTP request may fail or wait.
//! After the fault, the limits must be enforced again without an action by an operator.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use actix_rateguard::{Key, RateGuard, StoreError, error::IoCause};
use futures_util::future::join_all;

use super::{
    checks::{Checks, LONG_DEADLINE, MAX_WAIT},
    fault_site::Site,
};
use crate::support::{
    eventually,
    redis_server::{RedisServer, free_port, total_connections, url},
};

#[test]
fn server_starts_without_redis_and_connects_later() {
    let port = free_port();
    let guard = RateGuard::redis(url(port)).prefix("test").deadline(LONG_DEADLINE).build().unwrap();
    let site = Site::start(guard.clone());
    site.assert_open(20);
    assert_eq!(guard.failures().open, 20);
    let cause = guard.health().cause().unwrap();
    assert_eq!(cause, StoreError::Unreachable(None));
    let source = std::error::Error::source(&cause).and_then(|it| it.downcast_ref::<IoCause>());
    assert_eq!(source.map(|it| it.kind()), Some(std::io::ErrorKind::ConnectionRefused));

    let _redis = RedisServer::start_at(port);
    site.assert_limits_from_first_request();
}

#[test]
fn redis_restarted_empty_is_used_again() {
    let mut redis = RedisServer::start();
    let site = Site::start(redis.settings("killed").deadline(LONG_DEADLINE).build().unwrap());
    site.assert_limits_from_first_request();

    redis.kill();
    site.assert_open(50);

    redis.restart();
    // After the restart, the server has neither the script nor the counts.
    site.assert_limits_from_first_request();
}

#[test]
fn redis_restarts_and_freezes_under_load_delay_no_check() {
    let mut redis = RedisServer::start();
    let checks = Checks::with_short_deadline(redis.settings("load"));
    let stop = Arc::new(AtomicBool::new(false));
    let decided = Arc::new(AtomicU64::new(0));

    let load: Vec<_> = (0..2)
        .map(|thread| {
            let (checks, stop, decided) = (checks.clone(), stop.clone(), decided.clone());
            thread::spawn(move || {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    while !stop.load(SeqCst) {
                        let round = (0..16_u32).map(async |task| {
                            let result = checks.check(&Key::from(thread * 16 + task)).await;
                            decided.fetch_add(u64::from(result.is_ok()), SeqCst);
                        });
                        join_all(round).await;
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                });
            })
        })
        .collect();

    let wait_for_decisions = |what| {
        let before = decided.load(SeqCst);
        eventually(what, || (decided.load(SeqCst) > before + 100).then_some(()));
    };
    wait_for_decisions("first decisions");
    for _round in 0..2 {
        redis.kill();
        thread::sleep(Duration::from_millis(200));
        redis.restart();
        wait_for_decisions("decisions after a restart");
        redis.freeze();
        thread::sleep(Duration::from_millis(400));
        redis.thaw();
        wait_for_decisions("decisions after a freeze");
    }
    stop.store(true, SeqCst);
    // A thread panics if one of its checks waited too long.
    load.into_iter().for_each(|thread| thread.join().unwrap());
}

#[tokio::test]
async fn waiting_checks_cause_no_reconnect_storm_when_redis_returns() {
    let mut redis = RedisServer::start();
    let checks = Checks::with_short_deadline(redis.settings("reconnect-storm"));
    checks.wait_for_decision().await;
    redis.kill();
    checks.wait_for_error(StoreError::Unreachable(None)).await;
    redis.restart();
    let start = Instant::now();
    let waiting = (0..2_000_u32).map(async |_| {
        while checks.guard.check(&checks.policy, &Key::global()).await.is_err() {
            assert!(start.elapsed() < 40 * MAX_WAIT, "no decision");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    join_all(waiting).await;
    // The test itself opened a few connections to wait for the server. The guard must not open a connection for each
    // check.
    let made = total_connections(&mut redis.client());
    assert!(made < 20, "{made}");
}
