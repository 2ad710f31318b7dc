//! Tests a Redis server that accepts connections but does not reply. A check must not wait longer than its deadline.
//! After the freeze, the server must not count a check that has already timed out.

use std::time::{Duration, Instant};

use actix_rateguard::{Decision, Key, RateGuard, StoreError};

use super::{
    checks::{Checks, DEADLINE, MAX_WAIT, is_undecided},
    fault_site::Site,
    malformed_replies::custom_server,
};
use crate::support::{
    TEST_TIMEOUT, eventually,
    redis_server::{RedisServer, run},
};

#[test]
fn frozen_redis_costs_at_most_deadline_and_is_reused() {
    let redis = RedisServer::start();
    // The denial cache is disabled, so Redis must decide each request. With the cache, a denial from before the freeze
    // could reject requests during the freeze.
    let settings = redis.settings("frozen").deadline(DEADLINE).denial_cache_ttl(Duration::ZERO);
    let site = Site::start(settings.build().unwrap());
    site.wait_until_limited();

    redis.freeze();
    site.assert_open(30);
    redis.thaw();
    site.wait_until_limited();
    // Redis still has its counts from before the freeze. It may also have counted some requests that were sent during
    // the freeze.
    eventually("the limit is reached", || (site.get().status == 429).then_some(()));
}

#[test]
fn frozen_read_of_overrides_delays_no_request() {
    let redis = RedisServer::start();
    let settings = redis.settings("overridden").deadline(DEADLINE).overrides(true);
    let site = Site::start(settings.build().unwrap());
    site.wait_until_limited();

    redis.freeze();
    // `Site::get` fails if a request waits for longer than its deadline and the delays of a busy machine.
    site.assert_open(30);
    redis.thaw();
    site.wait_until_limited();
}

#[tokio::test]
async fn timed_out_checks_are_not_counted_when_redis_resumes() {
    let redis = RedisServer::start();
    let checks = Checks::with_short_deadline(redis.settings("late"));
    let first = checks.wait_for_decision().await.remaining();
    redis.freeze();
    assert!(checks.check_concurrently(50).await.iter().all(is_undecided));
    // The guard estimates the clock of the server, and this estimate may be late by the duration of a reply.
    // Therefore the freeze is longer than the deadline.
    checks.assert_undecided_for(2 * DEADLINE).await;
    redis.thaw();
    checks.assert_no_late_counts(first).await;
}

#[tokio::test]
async fn redis_that_stays_frozen_soon_fails_without_delay() {
    let redis = RedisServer::start();
    let checks = Checks::with_short_deadline(redis.settings("stuck"));
    checks.wait_for_decision().await;
    redis.freeze();
    // This error shows that the attempt to reconnect has failed. After this error, a check must not wait for Redis.
    checks.wait_for_error(StoreError::Unreachable(None)).await;
    let start = Instant::now();
    let mut number = 0;
    while start.elapsed() < Duration::from_millis(200) {
        let _ = checks.check_global().await;
        number += 1;
    }
    // If each check waited for its deadline, only two checks would end within 200 ms.
    assert!(number > 50, "{number}");
}

#[tokio::test]
async fn cancelled_checks_do_not_hide_a_dead_connection() {
    let redis = RedisServer::start();
    let checks = Checks::new(redis.settings("impatient"), Duration::from_secs(2), "9999/hour");
    assert!(checks.check_global().await.is_ok());
    redis.freeze();
    let (start, key) = (Instant::now(), Key::global());
    loop {
        let check = checks.guard.check(&checks.policy, &key);
        if let Ok(result) = tokio::time::timeout(Duration::from_millis(50), check).await {
            // The guard has detected the dead connection, although each earlier check was cancelled before its
            // deadline.
            assert!(is_undecided(&result.map_err(|it| it.cause())));
            break;
        }
        assert!(start.elapsed() < TEST_TIMEOUT);
    }
}

#[tokio::test]
async fn max_in_flight_bounds_checks_waiting_for_frozen_redis() {
    let redis = RedisServer::start();
    let settings = redis.settings("bound").max_in_flight(10);
    let checks = Checks::new(settings, MAX_WAIT / 3, "1000000/hour");
    checks.wait_for_decision().await;
    redis.freeze();
    let results = checks.check_concurrently(100).await;
    let is_timeout = |result: &&Result<Decision, _>| matches!(result, Err(StoreError::Timeout));
    let is_local = |result: &&Result<Decision, _>| matches!(result, Ok(it) if it.is_local());
    let count = |wanted: &dyn Fn(&&Result<Decision, StoreError>) -> bool| {
        results.iter().filter(|result| wanted(result)).count()
    };
    assert_eq!((count(&is_timeout), count(&is_local)), (10, 90));
    redis.thaw();
    // The guard must have released the permits of the concurrency limit that the checks held when they timed out.
    checks.wait_for_decision().await;
    assert!(checks.check_concurrently(10).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn client_pause_costs_at_most_the_deadline() {
    let redis = RedisServer::start();
    let mut client = redis.client();
    // The first pause also delays the command `CLIENT UNPAUSE`, so it has a short duration. The second pause delays
    // only commands that write.
    for pause in ["CLIENT PAUSE 2000 ALL", "CLIENT PAUSE 60000 WRITE"] {
        let checks = Checks::with_short_deadline(redis.settings("paused"));
        let first = checks.wait_for_decision().await.remaining();
        let _: () = run(&mut client, pause);
        assert!(checks.check_concurrently(50).await.iter().all(is_undecided), "{pause}");
        checks.assert_undecided_for(2 * DEADLINE).await;
        let _: () = run(&mut client, "CLIENT UNPAUSE");
        checks.assert_no_late_counts(first).await;
    }
}

#[tokio::test]
async fn silent_server_costs_at_most_the_deadline() {
    let (silent, _) = custom_server(|stream| {
        std::thread::sleep(TEST_TIMEOUT);
        drop(stream);
    });
    let checks = Checks::with_short_deadline(RateGuard::redis(silent).prefix("test"));
    let start = Instant::now();
    assert_eq!(checks.check_global().await.err(), Some(StoreError::Timeout));
    // The connection attempt has a longer timeout than the check. The check must not wait for it.
    assert!(start.elapsed() < 9 * DEADLINE, "{:?}", start.elapsed());
}
