//! Tests publications: repeated, late and hostile ones, and those of processes that no longer run.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use actix_rateguard::{
    Key, Policy, RateGuard, Statistics,
    store::{StatisticsCount, StatisticsPublication, StatisticsReport},
};
use futures_util::future::join_all;
use redis::Commands;
use serde_json::json;

use super::{fleet_until, totals};
use crate::support::{
    TEST_TIMEOUT, log_lines,
    redis_server::{RedisServer, run, script_calls},
};

const PROCESSES: &str = "publications:{statistics}:processes";
const REPORTED: &str = "publications:{statistics}:reported";
const ID: &str = "0123456789abcdef";

fn guard(redis: &RedisServer, statistics: Statistics) -> RateGuard {
    let settings = redis.settings("publications").deadline(TEST_TIMEOUT);
    settings.for_attributes(false).statistics(statistics).build().unwrap()
}

async fn publish(guard: &RateGuard, sequence: u64, counts: &[StatisticsCount]) -> u64 {
    let publication = StatisticsPublication { process: ID, sequence, report: Some("{}"), counts };
    guard.store().statistics().unwrap().publish(publication).await.unwrap().as_secs()
}

fn count(interval: u64, counter: &str, number: u64) -> StatisticsCount {
    StatisticsCount { interval, counter: counter.to_owned(), number }
}

#[tokio::test]
async fn repeated_publication_is_ignored() {
    let redis = RedisServer::start();
    let observer = guard(&redis, Statistics::observer());
    let now = publish(&observer, 1, &[]).await / 20;
    let counts =
        [count(now - 1, "allowed:p", 2), count(now, "allowed:p", 3), count(now, "denied:q", 1)];
    for sequence in [2, 2, 1, 2] {
        publish(&observer, sequence, &counts).await;
    }
    let statistics = fleet_until(&observer, |it| totals(it, "p").allowed == 5).await;
    assert_eq!(totals(&statistics, "q").denied, 1);
    // The observer itself is not in the list.
    let ids: Vec<_> = statistics.processes.iter().map(|it| &*it.id).collect();
    assert_eq!(ids, [ID]);
    assert_eq!(redis.client().hlen(PROCESSES), Ok(1));
    publish(&observer, 3, &counts).await;
    fleet_until(&observer, |it| totals(it, "p").allowed == 10).await;
}

#[tokio::test]
async fn late_counts_are_in_their_intervals() {
    let redis = RedisServer::start();
    let observer = guard(&redis, Statistics::observer());
    let now = publish(&observer, 1, &[]).await / 20;
    publish(&observer, 2, &[count(now - 100, "allowed:p", 1)]).await;
    fleet_until(&observer, |it| totals(it, "p").allowed == 1).await;
    // The observer has this interval in its cache.
    publish(&observer, 3, &[count(now - 100, "allowed:p", 1), count(now - 200, "allowed:p", 9)])
        .await;
    let statistics = fleet_until(&observer, |it| totals(it, "p").allowed == 2).await;
    let index = usize::try_from(now - 100 - statistics.first_interval).unwrap();
    assert_eq!(statistics.policies[0].history[index].allowed, 2);
}

#[tokio::test]
async fn report_that_is_not_replaced_for_10_seconds_is_removed() {
    let redis = RedisServer::start();
    let observer = guard(&redis, Statistics::observer());
    publish(&observer, 1, &[]).await;
    fleet_until(&observer, |it| it.processes.len() == 1).await;
    let mut client = redis.client();
    let report: String = client.hget(PROCESSES, ID).unwrap();
    let (micros, text) = report.split_once(' ').unwrap();
    let older = micros.parse::<u64>().unwrap() - 10_000_000;
    let _: u32 = client.hset(PROCESSES, ID, format!("{older} {text}")).unwrap();
    fleet_until(&observer, |it| it.processes.is_empty()).await;
    assert_eq!(client.hexists(PROCESSES, ID), Ok(false));
}

#[tokio::test]
async fn publications_remove_old_reports_even_if_no_process_reads_them() {
    let redis = RedisServer::start();
    let observer = guard(&redis, Statistics::observer());
    let mut client = redis.client();
    let now: (u64, u64) = run(&mut client, "TIME");
    for (process, second) in [("dead", now.0 - 60), ("future", now.0 + 600), ("live", now.0)] {
        let _: u64 = client.hset(PROCESSES, process, format!("{second}000000 {{}}")).unwrap();
        let _: u64 = client.hset(REPORTED, process, second).unwrap();
    }
    publish(&observer, 19, &[]).await;
    assert_eq!(client.hlen(PROCESSES), Ok(4));
    publish(&observer, 20, &[]).await;
    for key in [PROCESSES, REPORTED] {
        let mut processes: Vec<String> = client.hkeys(key).unwrap();
        processes.sort();
        assert_eq!(processes, [ID, "live"]);
    }
}

#[test]
fn debug_output_has_no_report() {
    let (publication, report) = (
        StatisticsPublication { process: ID, sequence: 1, report: Some("ann"), counts: &[] },
        StatisticsReport { process: ID.to_owned(), age: Duration::ZERO, text: "ann".to_owned() },
    );
    let debug = format!("{publication:?} {report:?}");
    assert!(!debug.contains("ann") && debug.contains(ID), "{debug}");
}

#[tokio::test]
async fn killed_process_leaves_the_fleet_and_its_counts_stay() {
    let redis = RedisServer::start();
    let observer = guard(&redis, Statistics::observer());
    let mut worker = Command::new(env!("CARGO_BIN_EXE_statistics_worker"))
        .args([&redis.url(), "publications"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let statistics = fleet_until(&observer, |it| totals(it, "statistics-worker").denied == 1).await;
    assert_eq!(statistics.processes[0].name.as_deref(), Some("worker"));
    worker.kill().unwrap();
    worker.wait().unwrap();
    let statistics = fleet_until(&observer, |it| it.processes.is_empty()).await;
    let counts = totals(&statistics, "statistics-worker");
    assert_eq!((counts.allowed, counts.denied), (2, 1));
}

#[tokio::test]
async fn hostile_data_in_redis_is_bounded() {
    log_lines::collect();
    let redis = RedisServer::start();
    let observer = guard(&redis, Statistics::observer());
    let seconds = publish(&observer, 1, &[]).await;
    let (now, micros) = (seconds / 20, seconds * 1_000_000);
    let mut client = redis.client();
    let report = json!({"name": "<b>\u{1b}[2J\u{202e}", "policies": [{"name": "{x}"}, 7]});
    let too_long = "x".repeat(200_000);
    for (process, report) in [
        (ID, format!("{micros} {report}")),
        ("not an id", format!("{micros} {{}}")),
        ("0000000000000000", "no report".to_owned()),
        ("1111111111111111", format!("{micros} {too_long}")),
        ("2222222222222222", format!("{}0 {{}}", micros)),
    ] {
        let _: u32 = client.hset(PROCESSES, process, report).unwrap();
    }
    let interval = |number: u64| format!("publications:{{statistics}}:{number}");
    for (counter, number) in [
        ("allowed:p", "3"),
        ("allowed:p\u{1b}", "1"),
        ("denied:p", "x"),
        ("banned:p", "-1"),
        ("x", "1"),
    ] {
        let _: u32 = client.hset(interval(now), counter, number).unwrap();
    }
    let flood: Vec<_> = (0..4_000).map(|it| (format!("allowed:flood-{it}"), 1)).collect();
    let _: () = client.hset_multiple(interval(now - 1), &flood).unwrap();
    let statistics = fleet_until(&observer, |it| totals(it, "p").allowed == 3).await;
    assert_eq!(statistics.policies.len(), 1);
    assert_eq!(statistics.processes.len(), 1, "{:?}", statistics.processes);
    assert_eq!(statistics.processes[0].name.as_deref(), Some("<b>\\u{1b}[2J\\u{202e}"));

    // A counter that overflows is not changed, and does not prevent other counts.
    let _: u32 = client.hset(interval(now), "denied:q", i64::MAX.to_string()).unwrap();
    publish(&observer, 2, &[count(now, "denied:q", 1), count(now, "denied:r", 1)]).await;
    fleet_until(&observer, |it| totals(it, "r").denied == 1).await;
}

#[tokio::test]
async fn counters_of_many_policies_are_bounded() {
    let redis = RedisServer::start();
    let observer = guard(&redis, Statistics::observer());
    let now = publish(&observer, 1, &[]).await / 20;
    let counts: Vec<_> = (0..1_700).map(|it| count(now, &format!("allowed:p{it}"), 1)).collect();
    publish(&observer, 2, &counts).await;
    let statistics = fleet_until(&observer, |it| it.policies.len() == 201).await;
    assert_eq!((totals(&statistics, "other").allowed, statistics.omitted_policies), (1_500, 1_300));
    let length: usize = redis.client().hlen(format!("publications:{{statistics}}:{now}")).unwrap();
    assert_eq!(length, 1_501);
}

#[tokio::test]
async fn foreign_key_is_reported_and_fails_no_check() {
    log_lines::collect();
    let redis = RedisServer::start();
    let _: String = run(&mut redis.client(), &format!("SET {PROCESSES} x"));
    let guard = guard(&redis, Statistics::new());
    let policy = Policy::new("statistics-foreign", "5/hour").unwrap();
    assert!(guard.check(&policy, &Key::global()).await.unwrap().is_allowed());
    let statistics = guard.statistics().await.unwrap();
    let cause = statistics.store_error.expect("the cause").to_string();
    assert!(cause.contains("a value that RateGuard did not write"), "{cause}");
    assert_eq!(totals(&statistics, "statistics-foreign").allowed, 1);
}

#[tokio::test]
async fn concurrent_readers_share_one_read_a_second() {
    let redis = RedisServer::start();
    let observer = guard(&redis, Statistics::observer());
    fleet_until(&observer, |_| true).await;
    let (before, start) = (script_calls(&redis), Instant::now());
    for _ in 0..20 {
        let reads = join_all((0..20).map(|_| observer.statistics())).await;
        assert!(reads.iter().all(Option::is_some));
    }
    let (calls, seconds) = (script_calls(&redis) - before, start.elapsed().as_secs());
    assert!(calls <= seconds + 1, "{calls} calls in {seconds} s");
}
