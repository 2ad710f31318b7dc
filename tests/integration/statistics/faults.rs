//! Tests the statistics while Redis is down or frozen, and after it has lost its data.

use actix_rateguard::{Fallback, Key, OnError, Policy, RateGuard, Statistics, StatisticsScope};

use super::{fleet_until, totals};
use crate::support::{log_lines, redis_server::RedisServer};

const NAME: &str = "statistics-faults";

fn guard(redis: &RedisServer) -> RateGuard {
    let settings = redis.settings("statistics").for_attributes(false);
    settings.statistics(Statistics::new()).build().unwrap()
}

fn policy() -> Policy {
    Policy::new(NAME, "1000/hour").unwrap().on_error(OnError::Open)
}

/// Checks until this number of checks was not decided.
async fn pass_undecided(guard: &RateGuard, number: u64) {
    let mut undecided = 0;
    while undecided < number {
        undecided += u64::from(guard.check(&policy(), &Key::global()).await.is_err());
    }
}

#[tokio::test]
async fn counts_of_a_frozen_redis_arrive_exactly_once_when_it_resumes() {
    log_lines::collect();
    let redis = RedisServer::start();
    let guards = [guard(&redis), guard(&redis)];
    fleet_until(&guards[0], |it| it.processes.len() == 2).await;
    redis.freeze();
    for guard in &guards {
        pass_undecided(guard, 20).await;
    }
    let statistics = loop {
        let statistics = guards[0].statistics().await.unwrap();
        if statistics.scope == StatisticsScope::Process {
            break statistics;
        }
    };
    assert!(statistics.store_error.is_some());
    assert_eq!(totals(&statistics, NAME).undecided_passed, 20);
    assert_eq!((statistics.processes.len(), statistics.processes[0].fallback), (1, Fallback::Open));
    assert_eq!(statistics.processes[0].unanswered.open, 20);
    redis.thaw();
    let statistics = fleet_until(&guards[0], |it| totals(it, NAME).undecided_passed >= 40).await;
    assert_eq!(totals(&statistics, NAME).undecided_passed, 40);
}

#[tokio::test]
async fn counts_of_an_outage_arrive_after_redis_has_lost_its_data() {
    log_lines::collect();
    let mut redis = RedisServer::start();
    let guard = guard(&redis);
    fleet_until(&guard, |it| it.processes.len() == 1).await;
    redis.kill();
    pass_undecided(&guard, 30).await;
    redis.restart();
    let statistics = fleet_until(&guard, |it| totals(it, NAME).undecided_passed > 0).await;
    assert_eq!(totals(&statistics, NAME).undecided_passed, 30);
    assert!(!log_lines::from_all_targets_with("failed to publish the statistics").is_empty());
}

#[tokio::test]
async fn guard_reads_and_checks_without_redis() {
    log_lines::collect();
    let mut redis = RedisServer::start();
    redis.kill();
    let guard = guard(&redis);
    pass_undecided(&guard, 3).await;
    let statistics = guard.statistics().await.unwrap();
    assert_eq!(statistics.scope, StatisticsScope::Process);
    assert_eq!(totals(&statistics, NAME).undecided_passed, 3);
    assert!(!statistics.processes[0].store.is_good);
    guard.close().await;
    let closed = guard.statistics().await.unwrap();
    assert_eq!(closed.scope, StatisticsScope::Process);
}
