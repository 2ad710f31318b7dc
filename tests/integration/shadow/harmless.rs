//! What goes wrong with a candidate harms nobody.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use rateguard::{
    Key, MemoryStore, OnError, Policy, RateGuard, StoreError,
    store::{Answer, Charge, Operation, Store},
    test_util::FaultyStore,
};

use super::{report, search};
use crate::support::{
    PATIENCE, log_lines,
    redis_server::{RedisServer, run},
};

/// A store that answers later, and does not do well what is asked in shadow.
struct Moody {
    store: MemoryStore,
    mood: Arc<AtomicU8>,
}

const FAILS: u8 = 1;
const FAILS_LATER: u8 = 2;
const HANGS: u8 = 3;

impl Store for Moody {
    fn apply<'a>(&'a self, operation: Operation, charges: &'a [Charge<'a>]) -> Answer<'a> {
        let is_candidate = charges.iter().any(|it| it.bucket.name().ends_with("{shadow}"));
        match self.mood.load(SeqCst) {
            FAILS if is_candidate => Answer::Now(Err(StoreError::Unintelligible)),
            FAILS_LATER if is_candidate => {
                Answer::Later(Box::pin(async { Err(StoreError::Unreachable) }))
            }
            HANGS if is_candidate => Answer::Later(Box::pin(std::future::pending())),
            _ => {
                Answer::Later(Box::pin(
                    async move { self.store.apply(operation, charges).get().await },
                ))
            }
        }
    }
}

#[tokio::test]
async fn a_candidate_whose_store_fails_is_only_counted() {
    for mood in [FAILS, FAILS_LATER, HANGS] {
        let store = Moody { store: MemoryStore::new(), mood: Arc::new(AtomicU8::new(mood)) };
        let builder = RateGuard::builder().store(store).deadline(PATIENCE).max_in_flight(4);
        let guard = builder.build().unwrap();
        let policy = search().on_error(OnError::Closed).candidate("3/365d").unwrap();
        let begun = Instant::now();
        for number in 1..=20 {
            let decision = guard.check(&policy, &Key::global()).await.unwrap();
            assert_eq!(decision.is_allowed(), number <= 10, "{number}");
            assert_eq!(decision.limit(), 10);
            let reservation = guard.request(&policy, &Key::from("other")).reserve().await.unwrap();
            assert_eq!(reservation.refund().await.unwrap().remaining(), 10);
        }
        // Nobody has waited for it, it has taken nobody's place, and its failures are nobody else's.
        assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
        assert_eq!(guard.failures(), Default::default());
        assert!(guard.health().is_good());
        if mood != HANGS {
            assert_eq!(report(&guard, "search", 40).await, [0, 0, 40]);
        }
    }
}

/// A whole policy in shadow, whatever it says itself for when the store does not answer.
#[tokio::test]
async fn a_policy_in_shadow_lets_pass_what_was_not_decided() {
    for fault in [Some(StoreError::Unreachable), None] {
        let faults = FaultyStore::new(MemoryStore::new());
        let builder = RateGuard::builder().store(faults.clone()).closed_after(Duration::ZERO);
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

/// The same numbers with a candidate as without it, whatever else is asked.
#[tokio::test]
async fn a_candidate_takes_nothing_of_what_is_enforced() {
    let (tried, plain) = (RateGuard::in_memory(), RateGuard::in_memory());
    let policies = [search().candidate("2/365d; 3/365d fixed_window").unwrap(), search()];
    let key = Key::global();
    for cost in [1, 2, 0, 3, 1, 9, 1, 1, 1, 1] {
        let [of_tried, of_plain] =
            [(&tried, &policies[0]), (&plain, &policies[1])].map(|(guard, policy)| async move {
                guard.request(policy, &key).cost(cost).check().await
            });
        let (of_tried, of_plain) = (of_tried.await.unwrap(), of_plain.await.unwrap());
        assert_eq!(of_tried.is_allowed(), of_plain.is_allowed());
        assert_eq!(of_tried.remaining(), of_plain.remaining());
        assert_eq!(of_tried.standings().len(), 1);
    }
}

#[tokio::test]
async fn what_would_be_denied_is_in_the_log_seldom() {
    log_lines::collect();
    let guard = RateGuard::in_memory();
    let policy = Policy::new("said-seldom", "10/365d").unwrap().candidate("3/365d").unwrap();
    for _ in 0..9 {
        guard.check(&policy, &Key::global()).await.unwrap();
    }
    let lines = log_lines::with("said-seldom");
    let lines: Vec<_> = lines.iter().filter(|line| line.starts_with("INFO")).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("`said-seldom` in shadow would have denied 1 of 4 requests"),
        "{lines:?}"
    );
}

/// A server that runs a script answers nobody else: what is tried may be a lot of work.
#[tokio::test]
async fn what_is_tried_is_in_no_call_for_what_is_enforced() {
    let server =
        RedisServer::start_with(&["--slowlog-log-slower-than", "0", "--slowlog-max-len", "9999"]);
    let guard = server.settings("apart").deadline(PATIENCE).build().unwrap();
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
    let (mut tried, mut enforced) = (0, 0);
    for call in calls {
        let keys: usize = call[2].parse().unwrap();
        // A long list is cut.
        let keys = call.iter().skip(3).take(keys.min(28));
        let (of_tried, of_enforced): (Vec<_>, Vec<_>) =
            keys.partition(|it| it.contains("{shadow}"));
        assert!(of_tried.is_empty() || of_enforced.is_empty(), "{call:?}");
        tried += of_tried.len();
        enforced += of_enforced.len();
    }
    assert!(tried > 0 && enforced > 0);
}
