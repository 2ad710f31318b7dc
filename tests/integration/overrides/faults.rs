//! Tests overrides while Redis is down, after it has lost its data, and while it does not answer the reads.

use std::time::Duration;

use actix_rateguard::{Key, MemoryStore, Policy, RateGuard, StoreError, store::*};
use futures_util::FutureExt;

use super::{HOUR, check, policy};
use crate::support::{
    TEST_TIMEOUT, eventually, log_lines,
    redis_server::{RedisServer, run},
};

fn guard(redis: &RedisServer) -> RateGuard {
    redis.settings("overrides").deadline(TEST_TIMEOUT).overrides(true).build().unwrap()
}

fn wait_for_overrides(guard: &RateGuard, number: usize) {
    eventually("the guard has read the overrides", || {
        (guard.overrides().len() == number).then_some(())
    });
}

#[tokio::test]
async fn overrides_stay_in_effect_without_redis_and_return_to_an_empty_one() {
    log_lines::collect();
    let mut redis = RedisServer::start();
    let guards = [guard(&redis), guard(&redis)];
    let (policy, key) = (policy(), Key::from("ann"));
    guards[0].set_override(&policy, &key, "9/hour", HOUR).await.unwrap();
    guards.iter().for_each(|guard| wait_for_overrides(guard, 1));

    redis.kill();
    eventually("the guards have failed to read the overrides", || {
        let lines = log_lines::from_all_targets_with("failed to read the overrides");
        (!lines.is_empty()).then_some(())
    });
    // A process that starts now has none until the first read.
    let late = guard(&redis);
    assert_eq!(late.overrides(), []);
    assert!(guards.iter().all(|guard| guard.overrides().len() == 1));
    let result = guards[0].set_override(&policy, &key, "5/hour", HOUR).await;
    assert!(result.is_err(), "{result:?}");

    redis.restart();
    wait_for_overrides(&late, 1);
    let left: i64 = run(&mut redis.client(), "PTTL overrides:{overrides}");
    assert!(left > 3_000_000 && left <= 3_601_000, "{left}");
    let decision = late.check(&policy, &key).await.unwrap();
    assert_eq!(decision.limit(), 9);
}

#[tokio::test]
async fn removed_override_does_not_return_from_other_processes() {
    let redis = RedisServer::start();
    let guards = [guard(&redis), guard(&redis)];
    let (policy, key) = (policy(), Key::from("ann"));
    guards[0].set_override(&policy, &key, "9/hour", HOUR).await.unwrap();
    wait_for_overrides(&guards[1], 1);
    guards[0].remove_override(&policy, &key).await.unwrap();
    wait_for_overrides(&guards[1], 0);
    let text: String = run(&mut redis.client(), "HGET overrides:{overrides} text");
    assert_eq!(text, "1");
}

#[tokio::test]
async fn foreign_document_is_reported_and_changes_nothing() {
    log_lines::collect();
    let redis = RedisServer::start();
    let guard = guard(&redis);
    let (policy, key) = (policy(), Key::from("ann"));
    guard.set_override(&policy, &key, "9/hour", HOUR).await.unwrap();
    let mut client = redis.client();
    for document in
        ["HSET overrides:{overrides} version 7 text foreign", "SET overrides:{overrides} x"]
    {
        let _: u32 = run(&mut client, "DEL overrides:{overrides}");
        let _: redis::Value = run(&mut client, document);
        let result = guard.set_override(&policy, &key, "5/hour", HOUR).await;
        let error = result.unwrap_err().to_string();
        assert!(error.contains("a value that RateGuard did not write"), "{error}");
        assert_eq!(guard.check(&policy, &key).await.unwrap().limit(), 9);
    }
}

/// A store in memory whose documents never answer.
struct SilentDocuments(MemoryStore);

impl Store for SilentDocuments {
    fn apply<'a>(
        &'a self,
        operation: Operation,
        requests: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        self.0.apply(operation, requests)
    }

    fn documents(&self) -> Option<&dyn DocumentStore> {
        Some(self)
    }
}

impl DocumentStore for SilentDocuments {
    fn read<'a>(
        &'a self,
        _: &'a str,
        _: Option<DocumentVersion>,
    ) -> DocumentFuture<'a, DocumentRead> {
        Box::pin(std::future::pending())
    }

    fn write<'a>(
        &'a self,
        _: &'a str,
        _: DocumentWrite<'a>,
    ) -> DocumentFuture<'a, Option<DocumentVersion>> {
        Box::pin(std::future::pending())
    }
}

#[test]
fn silent_document_delays_no_check_and_ends_at_the_deadline() {
    let builder =
        RateGuard::builder().for_attributes(false).store(SilentDocuments(MemoryStore::new()));
    let guard = builder.overrides(true).deadline(Duration::from_millis(50)).build().unwrap();
    let (policy, key) = (policy(), Key::from("ann"));
    for remaining in [2, 1, 0] {
        // The check is complete at its first poll, although a read is in progress.
        assert_eq!(check(&guard, &policy, &key).now_or_never(), Some((true, remaining)));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let result = runtime.block_on(guard.set_override(&policy, &key, "5/hour", HOUR));
    assert_eq!(result.unwrap_err().to_string(), "the store failed: no reply within the deadline");
    assert_eq!(guard.overrides(), []);
}

#[tokio::test]
async fn closed_and_dropped_guards_stop_reading() {
    let redis = RedisServer::start();
    let (closed, dropped) = (guard(&redis), guard(&redis));
    let (policy, key) = (policy(), Key::from("ann"));
    closed.set_override(&policy, &key, "9/hour", HOUR).await.unwrap();
    wait_for_overrides(&dropped, 1);
    drop(dropped);
    closed.close().await;
    let result = closed.set_override(&policy, &key, "9/hour", HOUR).await;
    assert_eq!(result.unwrap_err(), StoreError::Closed.into());
    let mut client = redis.client();
    eventually("all connections are closed", || {
        let clients: String = run(&mut client, "CLIENT LIST TYPE normal");
        (clients.lines().count() == 1).then_some(())
    });
}

#[tokio::test]
async fn snapshot_of_redis_neither_returns_nor_loses_overrides() {
    let mut redis = RedisServer::start();
    let guard = guard(&redis);
    let key = Key::from("ann");
    let (removed, later) =
        (Policy::new("removed", "3/hour").unwrap(), Policy::new("later", "3/hour").unwrap());
    guard.set_override(&removed, &key, "1000/hour", HOUR).await.unwrap();
    let _: () = redis::cmd("SAVE").query(&mut redis.client()).unwrap();
    guard.remove_override(&removed, &key).await.unwrap();
    guard.set_override(&later, &key, "1000/hour", HOUR).await.unwrap();
    redis.kill();
    redis.restart_with_data();
    // A process that starts now can only read what the old process has written.
    let new = self::guard(&redis);
    let policies = |guard: &RateGuard| -> Vec<String> {
        guard.overrides().into_iter().map(|it| it.policy).collect()
    };
    eventually("the old process has written its overrides again", || {
        (policies(&new) == ["later"]).then_some(())
    });
    assert_eq!(policies(&guard), ["later"]);
}

#[tokio::test]
async fn reset_under_an_override_also_ends_the_leases_of_the_policy() {
    let redis = RedisServer::start();
    let guard = guard(&redis);
    let (policy, key) =
        (Policy::new("leased", "200/10m lease 50 for 10s").unwrap(), Key::from("ann"));
    loop {
        let decision = guard.check(&policy, &key).await.unwrap();
        assert!(decision.is_allowed());
        if decision.is_leased() && decision.remaining() < 150 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    guard.set_override(&policy, &key, "300/10m", HOUR).await.unwrap();
    guard.reset(&policy, &key).await.unwrap();
    assert_eq!(guard.peek(&policy, &key).await.unwrap().remaining(), 300);
}

#[tokio::test]
async fn line_of_a_later_version_does_not_disable_all_overrides() {
    let redis = RedisServer::start();
    let guard = guard(&redis);
    let (policy, key) = (Policy::new("raised", "3/hour").unwrap(), Key::from("ann"));
    guard.set_override(&policy, &key, "1000/hour", HOUR).await.unwrap();
    let mut client = redis.client();
    let name = "overrides:{overrides}";
    let text: String = redis::cmd("HGET").arg(name).arg("text").query(&mut client).unwrap();
    let line = text
        .lines()
        .nth(1)
        .unwrap()
        .replace("raised", "other")
        .replace("1000/hour", "5/hour later_algorithm");
    let _: i64 = redis::cmd("HSET")
        .arg(name)
        .arg("version")
        .arg("9000000000000000")
        .arg("text")
        .arg(format!("{text}\n{line}"))
        .query(&mut client)
        .unwrap();
    assert!(guard.remove_override(&policy, &key).await.is_ok());
}
