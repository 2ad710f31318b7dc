//! What the store leaves unanswered, by the reason.

use std::time::Duration;

use rateguard::{
    Key, MemoryStore, Policy, RateGuard, StoreError,
    store::{Answer, Charge, Operation, Store},
    test_util::FaultyStore,
};

use super::{Recorder, expected};

#[test]
fn each_reason_has_a_name_of_its_own() {
    let all = [
        (StoreError::Timeout, "timeout"),
        (StoreError::Unreachable, "unreachable"),
        (StoreError::Disconnected, "disconnected"),
        (StoreError::Authentication, "authentication"),
        (StoreError::Permission, "permission"),
        (StoreError::NotReady, "not_ready"),
        (StoreError::Busy, "busy"),
        (StoreError::OutOfMemory, "out_of_memory"),
        (StoreError::Cluster, "cluster"),
        (StoreError::Apart, "apart"),
        (StoreError::Overloaded, "overloaded"),
        (StoreError::Throttled, "throttled"),
        (StoreError::Unintelligible, "unintelligible"),
        (StoreError::NoPrimary, "no_primary"),
        (StoreError::Closed, "closed"),
    ];
    for (cause, name) in all {
        Recorder::hear(async |recorder| {
            let store = FaultyStore::new(MemoryStore::new());
            store.fail(cause);
            let guard = RateGuard::builder().store(store).build().unwrap();
            let policy = Policy::new("app", "1/hour").unwrap();
            let answer = guard.check(&policy, &Key::from("ann")).await;
            match answer {
                Err(unavailable) => assert_eq!(unavailable.cause(), cause),
                // Clients can cause these by load, so the check is decided in memory.
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
fn a_store_that_hangs_is_timed_as_well() {
    Recorder::hear(async |recorder| {
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

/// It answers all but what is asked for bans.
struct WithoutBans(MemoryStore, StoreError);

impl Store for WithoutBans {
    fn apply<'a>(&'a self, operation: Operation, charges: &'a [Charge<'a>]) -> Answer<'a> {
        if charges.iter().any(|charge| charge.bucket.name().contains("{offences}")) {
            return Answer::Now(Err(self.1));
        }
        self.0.apply(operation, charges)
    }
}

#[test]
fn an_offence_that_is_not_counted_is_an_error_and_its_denial_a_denial() {
    Recorder::hear(async |recorder| {
        let store = WithoutBans(MemoryStore::new(), StoreError::Permission);
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
fn an_offence_is_counted_in_memory_when_the_store_is_overloaded() {
    Recorder::hear(async |recorder| {
        let store = WithoutBans(MemoryStore::new(), StoreError::Overloaded);
        let guard = RateGuard::builder().store(store).build().unwrap();
        let policy = Policy::new("login", "1/hour").unwrap().ban("2/hour for 1h").unwrap();
        for _ in 0..4 {
            guard.check(&policy, &Key::from("ann")).await.unwrap();
        }
        // The second denial begins the ban, in the store as well.
        let counted = expected([
            ("login|1/hour|allowed|store", 1),
            ("login|1/hour|denied|store", 1),
            ("login|1/hour|banned|store", 2),
        ]);
        assert_eq!(recorder.decisions(), counted);
    });
}
