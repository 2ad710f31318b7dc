//! Redis away, killed, restarted: no request fails, none waits, and limiting resumes by itself.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use rateguard::{Key, RateGuard, StoreError};

use super::{
    checks::{AT_MOST, Checks, PATIENT},
    site::Site,
};
use crate::support::{
    eventually,
    redis_server::{RedisServer, connections_so_far, free_port, url},
};

#[test]
fn a_server_starts_without_redis_and_uses_it_when_it_is_there() {
    let port = free_port();
    let guard = RateGuard::redis(url(port)).deadline(PATIENT).build().unwrap();
    let site = Site::on(guard.clone());
    site.is_open(20);
    assert_eq!(guard.failures().open, 20);
    assert_eq!(guard.health().cause(), Some(StoreError::Unreachable));

    let _redis = RedisServer::start_at(port);
    site.limits_from_the_first();
}

#[test]
fn a_redis_that_is_killed_and_restarted_empty_is_used_again() {
    let mut redis = RedisServer::start();
    let site = Site::on(redis.settings("killed").deadline(PATIENT).build().unwrap());
    site.limits_from_the_first();

    redis.kill();
    site.is_open(50);

    redis.restart();
    // It has forgotten the script and the counts.
    site.limits_from_the_first();
}

#[test]
fn under_load_no_check_waits_whatever_happens_to_redis() {
    let mut redis = RedisServer::start();
    let checks = Checks::many(redis.settings("load"));
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
                            let answer = checks.of(&Key::from(thread * 16 + task)).await;
                            decided.fetch_add(u64::from(answer.is_ok()), SeqCst);
                        });
                        join_all(round).await;
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                });
            })
        })
        .collect();

    let resumes = |what| {
        let before = decided.load(SeqCst);
        eventually(what, || (decided.load(SeqCst) > before + 100).then_some(()));
    };
    resumes("decisions at first");
    for _round in 0..2 {
        redis.kill();
        thread::sleep(Duration::from_millis(200));
        redis.restart();
        resumes("decisions after a restart");
        redis.freeze();
        thread::sleep(Duration::from_millis(400));
        redis.thaw();
        resumes("decisions after a freeze");
    }
    stop.store(true, SeqCst);
    // None has waited, or it would have panicked.
    load.into_iter().for_each(|thread| thread.join().unwrap());
}

#[tokio::test]
async fn many_that_wait_for_a_redis_that_is_away_are_no_herd_when_it_is_back() {
    let mut redis = RedisServer::start();
    let checks = Checks::many(redis.settings("herd"));
    checks.decided().await;
    redis.kill();
    checks.lost(StoreError::Unreachable).await;
    redis.restart();
    let start = Instant::now();
    let many = (0..2_000_u32).map(async |_| {
        while checks.guard.check(&checks.policy, &Key::global()).await.is_err() {
            assert!(start.elapsed() < 40 * AT_MOST, "no decision");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    join_all(many).await;
    // Those of this test, which looked whether the server is up, and that of the guard.
    let made = connections_so_far(&mut redis.client());
    assert!(made < 20, "{made}");
}
