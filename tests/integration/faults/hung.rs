//! Redis that is there and does not answer: no check waits longer than its deadline, and what was given up counts no more.

use std::time::{Duration, Instant};

use rateguard::{Decision, Key, RateGuard, StoreError};

use super::{
    checks::{AT_MOST, Checks, DEADLINE, is_undecided},
    site::Site,
    strange::strange_server,
};
use crate::support::{
    PATIENCE, eventually,
    redis_server::{RedisServer, run},
};

#[test]
fn a_frozen_redis_costs_no_more_than_the_deadline_and_is_used_again() {
    let redis = RedisServer::start();
    let site = Site::on(redis.settings("frozen").deadline(DEADLINE).build().unwrap());
    site.until_limited();

    redis.freeze();
    site.is_open(30);
    redis.thaw();
    site.until_limited();
    // The count is still there, and what was asked meanwhile may have been added to it.
    eventually("the limit is reached", || (site.ask().status == 429).then_some(()));
}

#[tokio::test]
async fn checks_that_were_given_up_do_not_count_when_redis_wakes() {
    let redis = RedisServer::start();
    let checks = Checks::many(redis.settings("late"));
    let first = checks.decided().await.remaining();
    redis.freeze();
    assert!(checks.at_once(50).await.iter().all(is_undecided));
    // What is known of its clock may be behind by as much as its answer took.
    checks.stay_lost(2 * DEADLINE).await;
    redis.thaw();
    checks.resume_without_ghosts(first).await;
}

#[tokio::test]
async fn a_redis_that_stays_frozen_costs_nothing_after_a_while() {
    let redis = RedisServer::start();
    let checks = Checks::many(redis.settings("stuck"));
    checks.decided().await;
    redis.freeze();
    // Once the attempt to connect anew has failed, nobody waits for Redis any more.
    checks.lost(StoreError::Unreachable).await;
    let start = Instant::now();
    let mut number = 0;
    while start.elapsed() < Duration::from_millis(200) {
        let _ = checks.once().await;
        number += 1;
    }
    // At a deadline each there would be two.
    assert!(number > 50, "{number}");
}

#[tokio::test]
async fn callers_without_patience_do_not_hide_a_dead_connection() {
    let redis = RedisServer::start();
    let checks = Checks::new(redis.settings("impatient"), Duration::from_secs(2), "9999/hour");
    assert!(checks.once().await.is_ok());
    redis.freeze();
    let (start, key) = (Instant::now(), Key::global());
    loop {
        let check = checks.guard.check(&checks.policy, &key);
        if let Ok(answer) = tokio::time::timeout(Duration::from_millis(50), check).await {
            // Nobody waited for the deadline, and yet it was found out.
            assert!(is_undecided(&answer.map_err(|it| it.cause())));
            break;
        }
        assert!(start.elapsed() < PATIENCE);
    }
}

#[tokio::test]
async fn no_more_wait_for_a_hung_redis_than_the_bound_says() {
    let redis = RedisServer::start();
    let settings = redis.settings("bound").max_in_flight(10);
    let checks = Checks::new(settings, AT_MOST / 3, "1000000/hour");
    checks.decided().await;
    redis.freeze();
    let answers = checks.at_once(100).await;
    let is_timeout = |answer: &&Result<Decision, _>| matches!(answer, Err(StoreError::Timeout));
    let is_local = |answer: &&Result<Decision, _>| matches!(answer, Ok(it) if it.is_local());
    let count = |wanted: &dyn Fn(&&Result<Decision, StoreError>) -> bool| {
        answers.iter().filter(|answer| wanted(answer)).count()
    };
    assert_eq!((count(&is_timeout), count(&is_local)), (10, 90));
    redis.thaw();
    // The places have come back.
    checks.decided().await;
    assert!(checks.at_once(10).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_pause_of_writes_is_waited_for_no_longer_than_the_deadline() {
    let redis = RedisServer::start();
    let mut client = redis.client();
    // Of all commands, which holds up also the one that would end it; and of writes.
    for pause in ["CLIENT PAUSE 2000 ALL", "CLIENT PAUSE 60000 WRITE"] {
        let checks = Checks::many(redis.settings("paused"));
        let first = checks.decided().await.remaining();
        let _: () = run(&mut client, pause);
        assert!(checks.at_once(50).await.iter().all(is_undecided), "{pause}");
        checks.stay_lost(2 * DEADLINE).await;
        let _: () = run(&mut client, "CLIENT UNPAUSE");
        checks.resume_without_ghosts(first).await;
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_costs_no_more_than_the_deadline() {
    let (silent, _) = strange_server(|stream| {
        std::thread::sleep(PATIENCE);
        drop(stream);
    });
    let checks = Checks::many(RateGuard::redis(silent));
    let start = Instant::now();
    assert_eq!(checks.once().await.err(), Some(StoreError::Timeout));
    // The attempt to connect goes on for longer.
    assert!(start.elapsed() < 9 * DEADLINE, "{:?}", start.elapsed());
}
