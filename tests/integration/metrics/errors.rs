//! Tests the metrics of store errors, which are counted by cause.

use std::time::Duration;

use actix_rateguard::{
    Key, MemoryStore, Policy, RateGuard, StoreError,
    store::{BucketRequest, Operation, Store, StoreFuture},
    test_util::FaultyStore,
};

use super::{Recorder, expected};

#[test]
fn each_store_error_has_its_own_label() {
    let all = [
        (StoreError::Timeout, "timeout"),
        (StoreError::Unreachable(None), "unreachable"),
        (StoreError::Disconnected(None), "disconnected"),
        (StoreError::Authentication, "authentication"),
        (StoreError::Permission, "permission"),
        (StoreError::NotReady(None), "not_ready"),
        (StoreError::Busy, "busy"),
        (StoreError::OutOfMemory, "out_of_memory"),
        (StoreError::UnknownCommand, "unknown_command"),
        (StoreError::Database, "database"),
        (StoreError::Cluster, "cluster"),
        (StoreError::WrongServerKind, "wrong_server_kind"),
        (StoreError::CrossSlot, "cross_slot"),
        (StoreError::Overloaded, "overloaded"),
        (StoreError::Throttled, "throttled"),
        (StoreError::InvalidReply, "invalid_reply"),
        (StoreError::ForeignValue, "foreign_value"),
        (StoreError::NoPrimary, "no_primary"),
        (StoreError::Closed, "closed"),
        (StoreError::Forked, "forked"),
        (StoreError::PausedClock, "paused_clock"),
        (StoreError::Other("the table is locked"), "other"),
    ];
    for (cause, name) in all {
        Recorder::record(async |recorder| {
            let store = FaultyStore::new(MemoryStore::new());
            store.fail(cause);
            let guard = RateGuard::builder().store(store).build().unwrap();
            let policy = Policy::new("app", "1/hour").unwrap();
            let result = guard.check(&policy, &Key::from("ann")).await;
            match result {
                Err(unavailable) => assert_eq!(unavailable.cause(), cause),
                // Clients can cause these errors by sending many requests. Therefore the guard decides in memory.
                Ok(decision) => {
                    assert!(decision.is_local(), "{cause:?}");
                    let causes = [
                        StoreError::Busy,
                        StoreError::OutOfMemory,
                        StoreError::Overloaded,
                        StoreError::Throttled,
                    ];
                    assert!(causes.contains(&cause), "{cause:?}");
                }
            }
            assert_eq!(recorder.errors(), [(name.to_owned(), 1)].into());
        });
    }
}

#[test]
fn hung_store_call_is_timed() {
    Recorder::record(async |recorder| {
        let store = FaultyStore::new(MemoryStore::new());
        store.hang();
        let settings = RateGuard::builder().store(store).deadline(Duration::from_millis(1));
        let guard = settings.build().unwrap();
        let policy = Policy::new("app", "1/hour").unwrap();
        guard.check(&policy, &Key::from("ann")).await.unwrap_err();
        assert_eq!(recorder.errors(), [("timeout".to_owned(), 1)].into());
        assert_eq!(recorder.measured("check"), 1);
    });
}

/// A memory store that returns an error for each operation on the counter of offences.
struct BanFaultStore(MemoryStore, StoreError);

impl Store for BanFaultStore {
    fn apply<'a>(
        &'a self,
        operation: Operation,
        requests: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        if requests.iter().any(|request| request.bucket.name().contains("{offences}")) {
            return StoreFuture::Ready(Err(self.1));
        }
        self.0.apply(operation, requests)
    }
}

#[test]
fn failed_offence_count_is_an_error_and_a_denial() {
    Recorder::record(async |recorder| {
        let store = BanFaultStore(MemoryStore::new(), StoreError::Permission);
        let guard = RateGuard::builder().store(store).build().unwrap();
        let policy = Policy::new("login", "1/hour").unwrap().ban("1/hour for 1h").unwrap();
        for _ in 0..3 {
            guard.check(&policy, &Key::from("ann")).await.unwrap();
        }
        let counted =
            expected([("login|1/hour|allowed|store", 1), ("login|1/hour|denied|store", 2)]);
        assert_eq!(recorder.decisions(), counted);
        assert_eq!(recorder.errors(), [("permission".to_owned(), 2)].into());
    });
}

#[test]
fn offence_is_counted_locally_under_overload() {
    Recorder::record(async |recorder| {
        let store = BanFaultStore(MemoryStore::new(), StoreError::Overloaded);
        let guard = RateGuard::builder().store(store).build().unwrap();
        let policy = Policy::new("login", "1/hour").unwrap().ban("2/hour for 1h").unwrap();
        for _ in 0..4 {
            guard.check(&policy, &Key::from("ann")).await.unwrap();
        }
        // The second denial begins the ban, although the store cannot count offences.
        let counted = expected([
            ("login|1/hour|allowed|store", 1),
            ("login|1/hour|denied|store", 1),
            ("login|1/hour|banned|store", 2),
        ]);
        assert_eq!(recorder.decisions(), counted);
    });
}
