//! What guards do while their store does not answer: the breaker, the bound, deciding in memory, and closing in the end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use actix_web::{App, get, test::init_service, web};
use futures_util::future::join_all;
use rateguard::{
    Key, MemoryStore, OnError, Policy, RateGuard, RateLimit, StoreError, rate_limit,
    store::{Answer, Charge, Operation, Store},
    test_util::{FaultyStore, ManualClock, TokioClock},
};

use crate::support::app::{get, statuses};

/// A store that takes a moment, as one far away does, and counts what it is asked.
#[derive(Clone)]
struct Remote {
    store: FaultyStore,
    asked: Arc<AtomicU64>,
}

impl Remote {
    fn new() -> Self {
        let store = FaultyStore::new(MemoryStore::new().clock(TokioClock::new()));
        Self { store, asked: Arc::default() }
    }

    fn guard(&self) -> rateguard::RateGuardBuilder {
        RateGuard::builder().store(self.clone())
    }
}

impl Store for Remote {
    fn apply<'a>(&'a self, operation: Operation, charges: &'a [Charge<'a>]) -> Answer<'a> {
        Answer::Later(Box::pin(async move {
            self.asked.fetch_add(1, Relaxed);
            tokio::time::sleep(Duration::from_millis(1)).await;
            self.store.apply(operation, charges).get().await
        }))
    }

    fn health(&self) -> Result<(), StoreError> {
        self.store.health()
    }
}

fn policy() -> Policy {
    Policy::new("p", "1000000/day").unwrap()
}

// Paused, so that an answer in time is no question of how busy the machine is.
#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_costs_the_deadline_a_few_times_and_then_nothing() {
    let remote = Remote::new();
    let guard = remote.guard().deadline(Duration::from_millis(20)).build().unwrap();
    let (policy, key) = (policy(), Key::global());
    assert!(guard.check(&policy, &key).await.is_ok());
    remote.store.hang();
    // All that come at once wait once.
    for answer in join_all((0..1_000).map(|_| guard.check(&policy, &key))).await {
        assert_eq!(answer.unwrap_err().cause(), StoreError::Timeout);
    }
    let asked = remote.asked.load(Relaxed);
    for _ in 0..10_000 {
        assert_eq!(guard.check(&policy, &key).await.unwrap_err().cause(), StoreError::Timeout);
    }
    // Now and then one finds out how the store is.
    let probes = remote.asked.load(Relaxed) - asked;
    assert!(probes < 1_000, "{probes}");
    assert_eq!(guard.failures().open, 11_000);

    remote.store.work();
    let back = std::time::Instant::now();
    while guard.check(&policy, &key).await.is_err() {
        assert!(back.elapsed() < Duration::from_secs(10), "it is noticed that the store is back");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(guard.health().is_good());
    assert!(guard.check(&policy, &key).await.is_ok());
}

#[tokio::test]
async fn one_probe_at_a_time_looks_whether_the_store_is_back() {
    let remote = Remote::new();
    let guard = remote.guard().deadline(Duration::from_millis(50)).build().unwrap();
    let (policy, key) = (policy(), Key::global());
    remote.store.hang();
    join_all((0..100).map(|_| guard.check(&policy, &key))).await;
    for _ in 0..3 {
        let asked = remote.asked.load(Relaxed);
        tokio::time::sleep(Duration::from_millis(400)).await;
        join_all((0..100).map(|_| guard.check(&policy, &key))).await;
        assert_eq!(remote.asked.load(Relaxed) - asked, 1);
    }
}

#[tokio::test]
async fn what_is_wrong_with_one_key_keeps_nobody_else_away() {
    let remote = Remote::new();
    let guard = remote.guard().build().unwrap();
    let (policy, key) = (policy(), Key::global());
    remote.store.fail(StoreError::Unintelligible);
    for _ in 0..100 {
        assert!(guard.check(&policy, &key).await.is_err());
    }
    remote.store.work();
    assert!(guard.check(&policy, &key).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn checks_beyond_the_bound_are_decided_locally() {
    let remote = Remote::new();
    let guard = remote.guard().max_in_flight(10).build().unwrap();
    let (policy, key) = (policy(), Key::global());
    let answers = join_all((0..100).map(|_| guard.check(&policy, &key))).await;
    let decisions: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(decisions.iter().filter(|it| !it.is_local()).count(), 10);
    assert_eq!(guard.failures().local, 90);
    // Checks that are given up leave their places.
    for _ in 0..100 {
        let _ = tokio::time::timeout(Duration::ZERO, guard.check(&policy, &key)).await;
    }
    let answers = join_all((0..10).map(|_| guard.check(&policy, &key))).await;
    assert!(answers.iter().all(|answer| !answer.as_ref().unwrap().is_local()));
}

fn local(replicas: u32) -> (FaultyStore, RateGuard) {
    let store = FaultyStore::new(MemoryStore::new().clock(ManualClock::new()));
    let guard = RateGuard::builder().store(store.clone()).on_error(OnError::Local);
    (store, guard.replicas(replicas).build().unwrap())
}

#[tokio::test]
async fn in_memory_each_process_has_its_share_and_knows_what_it_has_seen() {
    let (store, guard) = local(4);
    let policy = Policy::new("p", "20/day").unwrap();
    let (known, new) = (Key::from("known"), Key::from("new"));
    for _ in 0..3 {
        assert!(!guard.check(&policy, &known).await.unwrap().is_local());
    }
    store.fail(StoreError::Unreachable);
    for (key, admitted) in [(&known, 2), (&new, 5)] {
        for left in (0..admitted).rev() {
            let decision = guard.check(&policy, key).await.unwrap();
            assert!(decision.is_allowed() && decision.is_local());
            assert_eq!((decision.limit(), decision.remaining()), (5, left));
        }
        let denied = guard.check(&policy, key).await.unwrap();
        assert!(!denied.is_allowed() && denied.retry_after().is_some());
    }
    let failures = guard.failures();
    assert_eq!((failures.local, failures.open, failures.closed), (9, 0, 0));
    // The store is back, and decides alone.
    store.work();
    let decision = guard.check(&policy, &known).await.unwrap();
    assert_eq!((decision.is_local(), decision.remaining()), (false, 16));
}

#[tokio::test]
async fn in_memory_costs_are_cut_to_the_share_and_given_back_there() {
    let (store, guard) = local(4);
    let policy = Policy::new("p", "20/day").unwrap();
    let key = Key::global();
    store.fail(StoreError::Unreachable);
    let request = guard.request(&policy, &key).cost(10);
    let reservation = request.reserve().await.unwrap();
    assert!(reservation.decision().is_local() && reservation.decision().is_allowed());
    assert!(!request.peek().await.unwrap().is_allowed());
    let decision = reservation.refund().await.unwrap();
    assert_eq!((decision.is_local(), decision.remaining()), (true, 5));
}

#[tokio::test]
async fn a_settlement_under_load_counts_for_local_decisions_as_a_charge_does() {
    let (store, guard) = local(1);
    let policy = Policy::new("p", "60/day fixed_window").unwrap();
    for name in ["charge", "settle"] {
        let key = Key::from(name);
        store.work();
        let reservation = guard.request(&policy, &key).reserve().await.unwrap();
        store.fail(StoreError::Overloaded);
        if name == "charge" {
            assert!(guard.request(&policy, &key).cost(49).charge().await.is_err());
        } else {
            assert!(reservation.settle(50).await.is_err());
        }
        let peek = guard.request(&policy, &key).peek().await.unwrap();
        assert_eq!((peek.is_local(), peek.remaining()), (true, 10), "{name}");
    }
}

#[tokio::test]
async fn in_memory_a_settlement_is_of_what_was_taken_there() {
    let (store, guard) = local(4);
    for algorithm in ["", " fixed_window", " sliding_window_counter", " token_bucket"] {
        let policy = Policy::new("p", format!("20/day{algorithm}")).unwrap();
        let key = Key::from(algorithm);
        store.fail(StoreError::Unreachable);
        for (used, left) in [(7, 0), (2, 3), (0, 5)] {
            let reservation = guard.request(&policy, &key).cost(10).reserve().await.unwrap();
            let decision = reservation.settle(used).await.unwrap();
            assert_eq!(
                (decision.is_local(), decision.remaining()),
                (true, left),
                "{algorithm} {used}"
            );
            let fresh = Key::from((algorithm, u64::from(used)));
            let reservation = guard.request(&policy, &fresh).cost(10).reserve().await.unwrap();
            assert_eq!(reservation.settle(used).await.unwrap().remaining(), left);
            if left < 5 {
                break;
            }
        }
        store.work();
    }
}

#[tokio::test]
async fn in_memory_what_never_passes_does_not_and_nothing_is_said_to_be_done_for_all() {
    let (store, guard) = local(1);
    let policy = Policy::new("p", "2/second").unwrap();
    let key = Key::global();
    store.fail(StoreError::Unreachable);
    let denied = guard.request(&policy, &key).cost(100).check().await.unwrap();
    assert!(denied.is_local() && denied.is_too_costly());
    assert!(guard.reset(&policy, &key).await.is_err());
    assert!(guard.request(&policy, &key).charge().await.is_err());
}

#[tokio::test]
async fn what_the_store_has_given_back_forgotten_or_banned_is_so_in_memory() {
    let (store, guard) = local(1);
    let policy = Policy::new("p", "4/day").unwrap().ban("3/day for 1h").unwrap();
    let key = Key::from("given back");
    for _ in 0..10 {
        guard.request(&policy, &key).cost(2).reserve().await.unwrap().refund().await.unwrap();
        let reservation = guard.request(&policy, &Key::from("settled")).cost(3).reserve().await;
        reservation.unwrap().settle(0).await.unwrap();
    }
    let reset = Key::from("reset");
    for _ in 0..4 {
        guard.check(&policy, &reset).await.unwrap();
    }
    guard.reset(&policy, &reset).await.unwrap();
    let banned = Key::from("banned");
    for _ in 0..8 {
        guard.check(&policy, &banned).await.unwrap();
    }
    store.fail(StoreError::Unreachable);
    for key in [&key, &Key::from("settled"), &reset] {
        assert_eq!(guard.peek(&policy, key).await.unwrap().remaining(), 4);
    }
    let denied = guard.check(&policy, &banned).await.unwrap();
    assert!(denied.is_local() && denied.banned_for() > Some(Duration::from_secs(3_500)));
}

#[tokio::test]
async fn a_share_follows_what_was_settled_in_the_store() {
    for (used, left) in [(10, 0), (7, 0), (2, 3), (0, 5)] {
        let (store, guard) = local(4);
        let policy = Policy::new("p", "20/day").unwrap();
        let key = Key::global();
        let reservation = guard.request(&policy, &key).cost(10).reserve().await.unwrap();
        assert_eq!(reservation.settle(used).await.unwrap().remaining(), 20 - used);
        store.fail(StoreError::Unreachable);
        assert_eq!(guard.peek(&policy, &key).await.unwrap().remaining(), left, "{used}");
    }
}

#[tokio::test]
async fn a_share_follows_what_was_charged_afterwards() {
    let (store, guard) = local(1);
    let policy = Policy::new("p", "10/day").unwrap();
    let key = Key::global();
    let reservation = guard.request(&policy, &key).reserve().await.unwrap();
    assert_eq!(reservation.settle(8).await.unwrap().remaining(), 2);
    store.fail(StoreError::Unreachable);
    assert_eq!(guard.peek(&policy, &key).await.unwrap().remaining(), 2);
}

#[tokio::test]
async fn a_ban_that_has_just_begun_goes_on_in_memory() {
    let (store, guard) = local(1);
    let of = |name| Policy::new(name, "1/day").unwrap().ban("2/hour for 15m").unwrap();
    let (one, other, key) = (of("one"), of("other"), Key::global());
    for policy in [&one, &other] {
        for _ in 0..3 {
            guard.check(policy, &key).await.unwrap();
        }
    }
    store.fail(StoreError::Unreachable);
    for policy in [&one, &other] {
        assert!(guard.check(policy, &key).await.unwrap().banned_for().is_some());
    }
}

// Paused, so that an answer in time is no question of how busy the machine is.
#[tokio::test(start_paused = true)]
async fn checks_of_keys_that_are_apart_open_the_breaker_too() {
    struct Apart(Remote);

    impl Store for Apart {
        fn apply<'a>(&'a self, operation: Operation, charges: &'a [Charge<'a>]) -> Answer<'a> {
            if charges.len() > 1 {
                return Answer::Now(Err(StoreError::Apart));
            }
            self.0.apply(operation, charges)
        }
    }

    let remote = Remote::new();
    let guard = RateGuard::builder()
        .store(Apart(remote.clone()))
        .deadline(Duration::from_millis(20))
        .build()
        .unwrap();
    let policy = policy();
    let (one, other) = (Key::from("one"), Key::from("other"));
    let both = guard.request(&policy, &one).and(&policy, &other);
    assert!(both.check().await.is_ok());
    remote.store.hang();
    for _ in 0..10 {
        assert!(both.check().await.is_err());
    }
    assert_eq!(guard.health().cause(), Some(StoreError::Timeout));
}

#[tokio::test]
async fn those_who_are_banned_keep_nobody_else_from_a_store_that_is_far_away() {
    let remote = Remote::new();
    let guard = remote.guard().deadline(Duration::from_millis(4)).build().unwrap();
    let banning = Policy::new("banning", "1/day").unwrap().ban("1/hour for 15m").unwrap();
    for number in 0..50 {
        for _ in 0..2 {
            let _ = guard.check(&banning, &Key::from(number)).await;
        }
    }
    // However many of its steps came too late: the store answers.
    let answers =
        join_all((0..20).map(async |_| guard.check(&policy(), &Key::global()).await)).await;
    assert!(answers.iter().any(Result::is_ok), "{answers:?}");
}

#[tokio::test]
async fn a_server_that_is_asked_nothing_becomes_ready_again() {
    let remote = Remote::new();
    let guard = remote.guard().deadline(Duration::from_millis(20)).build().unwrap();
    remote.store.hang();
    join_all((0..20).map(async |_| guard.check(&policy(), &Key::global()).await)).await;
    assert_eq!(guard.health().cause(), Some(StoreError::Timeout));
    remote.store.work();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(guard.health().is_good());
}

#[tokio::test]
async fn where_one_policy_fails_closed_all_of_a_decision_do() {
    let store = FaultyStore::new(MemoryStore::new());
    let guard = RateGuard::builder().store(store.clone()).build().unwrap();
    let of = |name, on_error| Policy::new(name, "5/day").unwrap().on_error(on_error);
    let (open, local, closed) =
        (of("open", OnError::Open), of("local", OnError::Local), of("closed", OnError::Closed));
    let key = Key::global();
    store.fail(StoreError::Unreachable);
    assert!(guard.check(&open, &key).await.unwrap_err().lets_pass());
    assert!(guard.request(&open, &key).and(&local, &key).check().await.unwrap().is_local());
    let all = guard.request(&open, &key).and(&local, &key).and(&closed, &key);
    assert!(!all.check().await.unwrap_err().lets_pass());
}

#[tokio::test]
async fn after_the_grace_who_passed_is_refused_and_the_first_answer_ends_it() {
    for on_error in [OnError::Open, OnError::Local] {
        let store = FaultyStore::new(MemoryStore::new());
        let guard = RateGuard::builder()
            .store(store.clone())
            .on_error(on_error)
            .closed_after(Duration::from_millis(100))
            .build()
            .unwrap();
        let (policy, key) = (policy(), Key::global());
        store.fail(StoreError::NotReady);
        let passes = async || match guard.check(&policy, &key).await {
            Ok(decision) => decision.is_allowed(),
            Err(unavailable) => unavailable.lets_pass(),
        };
        assert!(passes().await);
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert!(!passes().await);
        assert!(guard.health().lasts().is_some_and(|lasts| lasts >= Duration::from_millis(100)));
        store.work();
        assert!(passes().await);
        assert_eq!(guard.health().lasts(), None);
        store.fail(StoreError::NotReady);
        assert!(passes().await);
    }
}

#[get("/local")]
#[rate_limit(rate = "4/minute", on_error = "local", name = "local-attribute")]
async fn attribute() -> &'static str {
    "ok"
}

#[actix_web::test]
async fn over_http_a_share_is_told_like_any_limit() {
    let store = FaultyStore::new(MemoryStore::new());
    let guard = RateGuard::builder().store(store.clone()).replicas(2).build().unwrap();
    let limit = RateLimit::new(&guard, "4/minute").on_error(OnError::Local);
    let app = init_service(
        App::new()
            .app_data(guard.clone())
            .service(attribute)
            .service(web::resource("/middleware").wrap(limit).route(web::get().to(async || "ok"))),
    )
    .await;
    store.fail(StoreError::Unreachable);
    for path in ["/local", "/middleware"] {
        assert_eq!(get(&app, 1, path).await.numbers(), Some([2, 1, 60]), "{path}");
        assert_eq!(statuses(&app, 1, path, 2).await, [200, 429], "{path}");
    }
    assert_eq!(guard.failures().local, 6);
}
