//! Tests overrides of a guard in memory with a manual clock.

use std::time::Duration;

use actix_rateguard::{
    BuildError, Key, MemoryStore, OnError, Policy, QuotaOverride, RateGuard, StoreError,
    error::OverrideError,
    store::{BucketRequest, DocumentVersion, DocumentWrite, Operation, Store, StoreFuture},
    test_util::{FaultyStore, ManualClock},
};
use futures_util::FutureExt;

use super::{HOUR, check, policy};

fn guard() -> (RateGuard, ManualClock) {
    let clock = ManualClock::new();
    let store = MemoryStore::new().clock(clock.clone());
    let guard = RateGuard::builder().for_attributes(false).overrides(true).memory_store(store);
    (guard.build().unwrap(), clock)
}

#[test]
fn guard_in_memory_needs_no_runtime_for_overrides() {
    let (guard, _) = guard();
    let (policy, key) = (policy(), Key::from("ann"));
    let changes = async {
        guard.set_override(&policy, &key, "9/hour", HOUR).await.unwrap();
        assert_eq!(check(&guard, &policy, &key).await, (true, 8));
        assert_eq!(guard.remove_override(&policy, &key).await, Ok(true));
        assert_eq!(guard.remove_override(&policy, &key).await, Ok(false));
        assert_eq!(check(&guard, &policy, &key).await, (true, 1));
    };
    assert_eq!(changes.now_or_never(), Some(()));
}

#[tokio::test]
async fn raised_and_lowered_override_keeps_the_counts() {
    let (guard, _) = guard();
    let (policy, key) = (policy(), Key::from("ann"));
    for remaining in [2, 1, 0] {
        assert_eq!(check(&guard, &policy, &key).await, (true, remaining));
    }
    assert_eq!(check(&guard, &policy, &key).await, (false, 0));
    guard.set_override(&policy, &key, "10/hour", HOUR).await.unwrap();
    assert_eq!(check(&guard, &policy, &key).await, (true, 6));
    // Another key and another policy are not affected.
    assert_eq!(check(&guard, &policy, &Key::from("bob")).await, (true, 2));
    let other = Policy::new("other", "3/hour").unwrap();
    assert_eq!(check(&guard, &other, &key).await, (true, 2));

    guard.set_override(&policy, &key, "4/hour", HOUR).await.unwrap();
    assert_eq!(check(&guard, &policy, &key).await, (false, 0));
    guard.set_override(&policy, &key, "5/hour", HOUR).await.unwrap();
    assert_eq!(check(&guard, &policy, &key).await, (true, 0));
    assert_eq!(guard.overrides().len(), 1);
}

#[tokio::test]
async fn override_ends_at_its_end_on_the_clock_of_the_store() {
    let (guard, clock) = guard();
    let (policy, key) = (policy(), Key::from("ann"));
    let minute = Duration::from_secs(60);
    guard.set_override(&policy, &key, "10/hour", minute).await.unwrap();
    clock.advance(minute - Duration::from_micros(1));
    assert_eq!(check(&guard, &policy, &key).await, (true, 9));
    assert_eq!(guard.overrides()[0].ends_after, Duration::from_micros(1));
    clock.advance(Duration::from_micros(1));
    assert_eq!(guard.overrides(), []);
    assert_eq!(check(&guard, &policy, &key).await, (true, 1));
}

#[tokio::test]
async fn list_has_policy_quotas_time_digest_and_description() {
    let (guard, clock) = guard();
    let (policy, second) = (policy(), Duration::from_secs(1));
    let hostile = "<script>\n\t%\u{0}\u{202e}\u{1f600}";
    guard.set_override(&policy, &Key::from("user-42"), "9/hour", 9 * second).await.unwrap();
    let quotas = "5/second; 2 concurrent lease minute";
    let bob = Key::from("bob");
    guard.set_described_override(&policy, &bob, quotas, 5 * second, hostile).await.unwrap();
    clock.advance(second);
    let listed: [QuotaOverride; 2] = guard.overrides().try_into().unwrap();
    let [first, last] = &listed;
    assert_eq!((&*first.policy, first.quotas.to_string()), ("api", quotas.to_owned()));
    assert_eq!((first.ends_after, first.description.as_deref()), (4 * second, Some(hostile)));
    assert_eq!((last.ends_after, &last.description), (8 * second, &None));
    // The digest is the one in the names of the buckets on Redis.
    assert_eq!(last.key_digest, "3d96e352bbde918d06f1a23d15894dc9");
    assert!(!format!("{listed:?}").contains("user-42"));
}

#[tokio::test]
async fn invalid_overrides_are_rejected() {
    let (guard, _) = guard();
    let (policy, key) = (policy(), Key::global());
    let error = guard.set_override(&policy, &key, "5/minut", HOUR).await.unwrap_err();
    assert!(error.to_string().starts_with("quotas of the override: unknown unit"), "{error}");
    let nine = "1/s;2/s;3/s;4/s;5/s;6/s;7/s;8/s;9/s";
    let error = guard.set_override(&policy, &key, nine, HOUR).await.unwrap_err();
    assert!(matches!(error, OverrideError::Quota(_)), "{error}");
    let day = 24 * HOUR;
    for length in [Duration::ZERO, Duration::from_millis(999), 91 * day, Duration::MAX] {
        let result = guard.set_override(&policy, &key, "5/minute", length).await;
        assert_eq!(result, Err(OverrideError::Length), "{length:?}");
    }
    for (length, expected) in [(200, Ok(())), (201, Err(OverrideError::Description))] {
        let text = "\u{1f600}".repeat(length);
        let result = guard.set_described_override(&policy, &key, "5/s", 90 * day, text).await;
        assert_eq!(result, expected);
    }
}

#[tokio::test]
async fn guard_without_the_setting_rejects_overrides() {
    let guard = RateGuard::builder().for_attributes(false).build().unwrap();
    let (policy, key) = (policy(), Key::global());
    let result = guard.set_override(&policy, &key, "5/minute", HOUR).await;
    assert_eq!(result, Err(OverrideError::Disabled));
    assert_eq!(guard.remove_override(&policy, &key).await, Err(OverrideError::Disabled));
    assert_eq!(guard.overrides(), []);
    let text = OverrideError::Disabled.to_string();
    assert!(text.contains("call `.overrides(true)` before `build()`"), "{text}");
}

#[tokio::test]
async fn more_than_a_thousand_overrides_are_rejected() {
    let (guard, _) = guard();
    let policy = policy();
    // Each change writes the whole document, so the test writes the document of 1,000 overrides itself.
    let lines = (0..1_000).map(|number| format!("\n{}\t{number:032x}\tapi\t9/hour", u32::MAX));
    let text = format!("1{}", lines.collect::<String>());
    let documents = guard.store().documents().unwrap();
    let write =
        DocumentWrite { expected: DocumentVersion::NONE, text: &text, expires_at: 2 * HOUR };
    assert!(documents.write("overrides", write).await.unwrap().is_some());
    let result = guard.set_override(&policy, &Key::from("new"), "5/minute", HOUR).await;
    assert_eq!(result, Err(OverrideError::TooMany));
    assert_eq!(guard.overrides().len(), 1_000);
}

struct OwnStore(MemoryStore);

impl Store for OwnStore {
    fn apply<'a>(
        &'a self,
        operation: Operation,
        requests: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        self.0.apply(operation, requests)
    }
}

#[test]
fn store_without_documents_is_a_build_error() {
    let builder = || RateGuard::builder().for_attributes(false).store(OwnStore(MemoryStore::new()));
    assert!(builder().build().is_ok());
    let error = builder().overrides(true).build().unwrap_err();
    assert!(matches!(error, BuildError::Overrides), "{error}");
    assert!(error.to_string().contains("implement `Store::documents`"), "{error}");
}

#[tokio::test]
async fn failed_store_is_an_error_and_changes_nothing() {
    let store = FaultyStore::new(MemoryStore::new());
    let builder = RateGuard::builder().for_attributes(false).store(store.clone());
    let guard = builder.overrides(true).on_error(OnError::Closed).build().unwrap();
    let (policy, key) = (policy(), Key::global());
    guard.set_override(&policy, &key, "9/hour", HOUR).await.unwrap();
    store.fail(StoreError::Permission);
    let result = guard.set_override(&policy, &key, "5/hour", HOUR).await;
    assert_eq!(result, Err(OverrideError::Store(StoreError::Permission)));
    store.hang();
    let result = guard.remove_override(&policy, &key).await;
    assert_eq!(result, Err(OverrideError::Store(StoreError::Timeout)));
    store.work();
    assert_eq!(check(&guard, &policy, &key).await, (true, 8));
    guard.close().await;
    let result = guard.remove_override(&policy, &key).await;
    assert_eq!(result, Err(OverrideError::Store(StoreError::Closed)));
}
