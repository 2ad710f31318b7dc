//! Tests failures of a candidate (new quotas that a policy tests in shadow mode). These failures must not affect
//! enforced checks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use actix_rateguard::{
    Key, MemoryStore, OnError, Policy, RateGuard, StoreError,
    store::{BucketRequest, Operation, Store, StoreFuture},
    test_util::FaultyStore,
};
use futures_util::future::join_all;

use super::{report, search};
use crate::support::{
    TEST_TIMEOUT, log_lines,
    redis_server::{RedisServer, run},
};

/// A memory store in which checks of candidates fail or hang.
struct CandidateFaultStore {
    store: MemoryStore,
    fault: Arc<AtomicU8>,
}

const FAILS: u8 = 1;
const FAILS_LATER: u8 = 2;
const HANGS: u8 = 3;

impl Store for CandidateFaultStore {
    fn apply<'a>(
        &'a self,
        operation: Operation,
        requests: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        let is_candidate = requests.iter().any(|it| it.bucket.name().ends_with("{shadow}"));
        match self.fault.load(SeqCst) {
            FAILS if is_candidate => StoreFuture::Ready(Err(StoreError::InvalidReply)),
            FAILS_LATER if is_candidate => {
                StoreFuture::Pending(Box::pin(async { Err(StoreError::Unreachable(None)) }))
            }
            HANGS if is_candidate => StoreFuture::Pending(Box::pin(std::future::pending())),
            _ => StoreFuture::Pending(Box::pin(async move {
                self.store.apply(operation, requests).get().await
            })),
        }
    }
}

#[tokio::test]
async fn failing_candidate_checks_are_only_counted() {
    for fault in [FAILS, FAILS_LATER, HANGS] {
        let fault_in_store = Arc::new(AtomicU8::new(fault));
        let store = CandidateFaultStore { store: MemoryStore::new(), fault: fault_in_store };
        let builder = RateGuard::builder().store(store).deadline(TEST_TIMEOUT).max_in_flight(4);
        let guard = builder.build().unwrap();
        let policy = search().on_error(OnError::Closed).candidate("3/365d").unwrap();
        let started = Instant::now();
        for number in 1..=20 {
            let decision = guard.check(&policy, &Key::global()).await.unwrap();
            assert_eq!(decision.is_allowed(), number <= 10, "{number}");
            assert_eq!(decision.limit(), 10);
            let reservation = guard.request(&policy, &Key::from("other")).reserve().await.unwrap();
            assert_eq!(reservation.refund().await.unwrap().remaining(), 10);
        }
        // An enforced check must not wait for the candidate. A failure of the candidate must not use up permits of the
        // concurrency limit, and must not count as a failure of the guard.
        assert!(started.elapsed() < TEST_TIMEOUT / 2, "{:?}", started.elapsed());
        assert_eq!(guard.failures(), Default::default());
        assert!(guard.health().is_good());
        if fault != HANGS {
            assert_eq!(report(&guard, "search", 40).await, [0, 0, 40]);
        }
    }
}

/// If the store does not decide a check, a shadow policy must allow the check, even if the failure mode is `closed`.
#[tokio::test]
async fn shadow_policy_allows_undecided_checks() {
    for fault in [Some(StoreError::Unreachable(None)), None] {
        let faults = FaultyStore::new(MemoryStore::new());
        let builder = RateGuard::builder().store(faults.clone()).fail_closed_after(Duration::ZERO);
        let guard = builder.deadline(Duration::from_millis(20)).build().unwrap();
        match fault {
            Some(cause) => faults.fail(cause),
            None => faults.hang(),
        }
        for on_error in [OnError::Open, OnError::Closed, OnError::Local] {
            let policy = search().on_error(on_error).shadow();
            let unavailable = guard.check(&policy, &Key::global()).await.unwrap_err();
            assert!(unavailable.lets_pass());
            assert!(guard.allows(&policy, &Key::global()).await);
        }
        assert_eq!(report(&guard, "search", 6).await, [0, 0, 6]);
        assert_eq!(guard.failures(), Default::default());
        faults.work();
    }
}

/// A policy must make the same decisions with a candidate and without a candidate.
#[tokio::test]
async fn candidate_does_not_change_enforced_counts() {
    let (with_candidate, plain) = (RateGuard::in_memory(), RateGuard::in_memory());
    let policies = [search().candidate("2/365d; 3/365d fixed_window").unwrap(), search()];
    let key = Key::global();
    for cost in [1, 2, 0, 3, 1, 9, 1, 1, 1, 1] {
        let [one, other] = [(&with_candidate, &policies[0]), (&plain, &policies[1])].map(
            |(guard, policy)| async move { guard.request(policy, &key).cost(cost).check().await },
        );
        let (one, other) = (one.await.unwrap(), other.await.unwrap());
        assert_eq!(one.is_allowed(), other.is_allowed());
        assert_eq!(one.remaining(), other.remaining());
        assert_eq!(one.statuses().len(), 1);
    }
}

#[tokio::test]
async fn would_be_denial_log_is_throttled() {
    log_lines::collect();
    let guard = RateGuard::in_memory();
    let policy = Policy::new("throttled-log", "10/365d").unwrap().candidate("3/365d").unwrap();
    for _ in 0..9 {
        guard.check(&policy, &Key::global()).await.unwrap();
    }
    let lines = log_lines::with("throttled-log");
    let lines: Vec<_> = lines.iter().filter(|line| line.starts_with("INFO")).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("`throttled-log` in shadow would have denied 1 of 4 requests"),
        "{lines:?}"
    );
}

/// While a script runs, Redis handles no other command. Therefore candidates must be decided in separate calls, so
/// that an enforced check does not wait for them.
#[tokio::test]
async fn candidate_and_enforced_checks_use_separate_script_calls() {
    let server =
        RedisServer::start_with(&["--slowlog-log-slower-than", "0", "--slowlog-max-len", "9999"]);
    let guard = server.settings("separate").deadline(TEST_TIMEOUT).build().unwrap();
    let policy = search().candidate("500/365d").unwrap();
    let keys: Vec<_> = (0..60_u32).map(Key::from).collect();
    for _ in 0..3 {
        let checks = keys.iter().map(|key| guard.check(&policy, key));
        assert!(join_all(checks).await.iter().all(Result::is_ok));
    }
    assert_eq!(report(&guard, "search", 180).await, [180, 0, 0]);
    type Entry = (u64, u64, u64, Vec<Vec<u8>>, Vec<u8>, Vec<u8>);
    let log: Vec<Entry> = run(&mut server.client(), "SLOWLOG GET 9999");
    let texts = |entry: Entry| -> Vec<String> {
        entry.3.iter().map(|argument| String::from_utf8_lossy(argument).into_owned()).collect()
    };
    let calls = log.into_iter().map(texts).filter(|it| it[0].starts_with("EVAL"));
    let (mut candidates, mut enforced) = (0, 0);
    for call in calls {
        let keys: usize = call[2].parse().unwrap();
        // The slow log cuts long lists of arguments. Therefore only the first keys of a call are visible.
        let keys = call.iter().skip(3).take(keys.min(28));
        let (candidate_keys, enforced_keys): (Vec<_>, Vec<_>) =
            keys.partition(|it| it.contains("{shadow}"));
        assert!(candidate_keys.is_empty() || enforced_keys.is_empty(), "{call:?}");
        candidates += candidate_keys.len();
        enforced += enforced_keys.len();
    }
    assert!(candidates > 0 && enforced > 0);
}
