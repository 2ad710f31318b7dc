//! What goes wrong with a candidate harms nobody.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use rateguard::{
    Key, MemoryStore, OnError, Policy, RateGuard, StoreError,
    store::{Answer, Charge, Operation, Store},
    test_util::FaultyStore,
};

use super::{report, search};
use crate::support::{PATIENCE, log_lines};

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
