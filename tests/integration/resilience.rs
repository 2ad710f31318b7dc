//! Tests guards whose store is down or slow: the circuit breaker, `max_in_flight`, the local fallback, and failing
//! closed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use actix_rateguard::{
    Algorithm, Key, Limit, MemoryStore, OnError, Policy, RateGuard, RateLimit, StoreError,
    builder::OwnStore,
    rate_limit,
    store::{BucketRequest, Operation, Store, StoreFuture},
    test_util::{FaultyStore, ManualClock, TokioClock},
};
use actix_web::{App, get, test::init_service, web};
use futures_util::future::join_all;

use crate::support::app::{get, statuses};

/// A store that replies after 1 ms and counts how often it is called.
#[derive(Clone)]
struct RemoteStore {
    store: FaultyStore,
    calls: Arc<AtomicU64>,
}

impl RemoteStore {
    fn new() -> Self {
        let store = FaultyStore::new(MemoryStore::new().clock(TokioClock::new()));
        Self { store, calls: Arc::default() }
    }

    fn guard(&self) -> actix_rateguard::RateGuardBuilder<OwnStore> {
        RateGuard::builder().store(self.clone())
    }
}

impl Store for RemoteStore {
    fn apply<'a>(
        &'a self,
        operation: Operation,
        requests: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        StoreFuture::Pending(Box::pin(async move {
            self.calls.fetch_add(1, Relaxed);
            tokio::time::sleep(Duration::from_millis(1)).await;
            self.store.apply(operation, requests).get().await
        }))
    }

    fn health(&self) -> Result<(), StoreError> {
        self.store.health()
    }
}

fn policy() -> Policy {
    Policy::new("p", "1000000/day").unwrap()
}

// The clock of Tokio is paused, so a busy machine cannot make a reply late.
#[tokio::test(start_paused = true)]
async fn hung_store_opens_the_breaker_after_a_few_deadlines() {
    let remote = RemoteStore::new();
    let guard = remote.guard().deadline(Duration::from_millis(20)).build().unwrap();
    let (policy, key) = (policy(), Key::global());
    assert!(guard.check(&policy, &key).await.is_ok());
    remote.store.hang();
    // The checks are concurrent, so together they wait for only one deadline.
    for result in join_all((0..1_000).map(|_| guard.check(&policy, &key))).await {
        assert_eq!(result.unwrap_err().cause(), StoreError::Timeout);
    }
    let calls = remote.calls.load(Relaxed);
    for _ in 0..10_000 {
        assert_eq!(guard.check(&policy, &key).await.unwrap_err().cause(), StoreError::Timeout);
    }
    // While the breaker is open, a few checks still reach the store as probes.
    let probes = remote.calls.load(Relaxed) - calls;
    assert!(probes < 1_000, "{probes}");
    assert_eq!(guard.failures().open, 11_000);

    remote.store.work();
    let recovered = std::time::Instant::now();
    while guard.check(&policy, &key).await.is_err() {
        assert!(recovered.elapsed() < Duration::from_secs(10), "the breaker stays open");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(guard.health().is_good());
    assert!(guard.check(&policy, &key).await.is_ok());
}

#[tokio::test]
async fn open_breaker_sends_one_probe_at_a_time() {
    let remote = RemoteStore::new();
    let guard = remote.guard().deadline(Duration::from_millis(50)).build().unwrap();
    let (policy, key) = (policy(), Key::global());
    remote.store.hang();
    join_all((0..100).map(|_| guard.check(&policy, &key))).await;
    for _ in 0..3 {
        let calls = remote.calls.load(Relaxed);
        tokio::time::sleep(Duration::from_millis(400)).await;
        join_all((0..100).map(|_| guard.check(&policy, &key))).await;
        assert_eq!(remote.calls.load(Relaxed) - calls, 1);
    }
}

#[tokio::test]
async fn invalid_replies_do_not_open_the_breaker() {
    let remote = RemoteStore::new();
    let guard = remote.guard().build().unwrap();
    let (policy, key) = (policy(), Key::global());
    remote.store.fail(StoreError::InvalidReply);
    for _ in 0..100 {
        assert!(guard.check(&policy, &key).await.is_err());
    }
    remote.store.work();
    assert!(guard.check(&policy, &key).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn checks_beyond_max_in_flight_are_decided_locally() {
    let remote = RemoteStore::new();
    let guard = remote.guard().max_in_flight(10).build().unwrap();
    let (policy, key) = (policy(), Key::global());
    let results = join_all((0..100).map(|_| guard.check(&policy, &key))).await;
    let decisions: Vec<_> = results.into_iter().map(Result::unwrap).collect();
    assert_eq!(decisions.iter().filter(|it| !it.is_local()).count(), 10);
    assert_eq!(guard.failures().local, 90);
    // A cancelled check must release its permit.
    for _ in 0..100 {
        let _ = tokio::time::timeout(Duration::ZERO, guard.check(&policy, &key)).await;
    }
    let results = join_all((0..10).map(|_| guard.check(&policy, &key))).await;
    assert!(results.iter().all(|result| !result.as_ref().unwrap().is_local()));
}

/// Returns a guard with local fallback, and the store of this guard. `replicas` is the number of application servers
/// that share each limit.
fn local_fallback(replicas: u32) -> (FaultyStore, RateGuard) {
    let store = FaultyStore::new(MemoryStore::new().clock(ManualClock::new()));
    let guard = RateGuard::builder().store(store.clone()).on_error(OnError::Local);
    (store, guard.replicas(replicas).build().unwrap())
}

#[tokio::test]
async fn local_fallback_counts_earlier_checks_against_its_share() {
    let (store, guard) = local_fallback(4);
    let policy = Policy::new("p", "20/day").unwrap();
    let (used, new) = (Key::from("used"), Key::from("new"));
    for _ in 0..3 {
        assert!(!guard.check(&policy, &used).await.unwrap().is_local());
    }
    store.fail(StoreError::Unreachable(None));
    for (key, admitted) in [(&used, 2), (&new, 5)] {
        for remaining in (0..admitted).rev() {
            let decision = guard.check(&policy, key).await.unwrap();
            assert!(decision.is_allowed() && decision.is_local());
            assert_eq!((decision.limit(), decision.remaining()), (5, remaining));
        }
        let denied = guard.check(&policy, key).await.unwrap();
        assert!(!denied.is_allowed() && denied.retry_after().is_some());
    }
    let failures = guard.failures();
    assert_eq!((failures.local, failures.open, failures.closed), (9, 0, 0));
    // When the store works again, it decides again.
    store.work();
    let decision = guard.check(&policy, &used).await.unwrap();
    assert_eq!((decision.is_local(), decision.remaining()), (false, 16));
}

#[tokio::test]
async fn local_fallback_refunds_the_clamped_cost() {
    let (store, guard) = local_fallback(4);
    let policy = Policy::new("p", "20/day").unwrap();
    let key = Key::global();
    store.fail(StoreError::Unreachable(None));
    let request = guard.request(&policy, &key).cost(10);
    let reservation = request.reserve().await.unwrap();
    assert!(reservation.decision().is_local() && reservation.decision().is_allowed());
    assert!(!request.peek().await.unwrap().is_allowed());
    let decision = reservation.refund().await.unwrap();
    assert_eq!((decision.is_local(), decision.remaining()), (true, 5));
}

#[tokio::test]
async fn overloaded_settle_counts_locally_like_a_debit() {
    let (store, guard) = local_fallback(1);
    let policy = Policy::new("p", "60/day fixed_window").unwrap();
    for name in ["debit", "settle"] {
        let key = Key::from(name);
        store.work();
        let reservation = guard.request(&policy, &key).reserve().await.unwrap();
        store.fail(StoreError::Overloaded);
        if name == "debit" {
            assert!(guard.request(&policy, &key).cost(49).debit().await.is_err());
        } else {
            assert!(reservation.settle(50).await.is_err());
        }
        let peek = guard.request(&policy, &key).peek().await.unwrap();
        assert_eq!((peek.is_local(), peek.remaining()), (true, 10), "{name}");
    }
}

#[tokio::test]
async fn local_fallback_settles_the_clamped_cost() {
    let (store, guard) = local_fallback(4);
    for (_, algorithm) in Algorithm::NAMES {
        let policy = Policy::new("p", format!("20/day {algorithm}")).unwrap();
        let key = Key::from(algorithm);
        store.fail(StoreError::Unreachable(None));
        for (used, remaining) in [(7, 0), (2, 3), (0, 5)] {
            let reservation = guard.request(&policy, &key).cost(10).reserve().await.unwrap();
            let decision = reservation.settle(used).await.unwrap();
            assert_eq!(
                (decision.is_local(), decision.remaining()),
                (true, remaining),
                "{algorithm} {used}"
            );
            let fresh = Key::from((algorithm, u64::from(used)));
            let reservation = guard.request(&policy, &fresh).cost(10).reserve().await.unwrap();
            assert_eq!(reservation.settle(used).await.unwrap().remaining(), remaining);
            if remaining < 5 {
                break;
            }
        }
        store.work();
    }
}

#[tokio::test]
async fn local_fallback_denies_excessive_costs_and_fails_resets() {
    let (store, guard) = local_fallback(1);
    let policy = Policy::new("p", "2/second").unwrap();
    let key = Key::global();
    store.fail(StoreError::Unreachable(None));
    let denied = guard.request(&policy, &key).cost(100).check().await.unwrap();
    assert!(denied.is_local() && denied.is_too_costly());
    assert!(guard.reset(&policy, &key).await.is_err());
    assert!(guard.request(&policy, &key).debit().await.is_err());
}

#[tokio::test]
async fn local_fallback_mirrors_refunds_resets_and_bans() {
    let (store, guard) = local_fallback(1);
    let policy = Policy::new("p", "4/day").unwrap().ban("3/day for 1h").unwrap();
    let key = Key::from("refunded");
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
    store.fail(StoreError::Unreachable(None));
    for key in [&key, &Key::from("settled"), &reset] {
        assert_eq!(guard.peek(&policy, key).await.unwrap().remaining(), 4);
    }
    let denied = guard.check(&policy, &banned).await.unwrap();
    assert!(denied.is_local() && denied.banned_for() > Some(Duration::from_secs(3_500)));
}

#[tokio::test]
async fn local_share_mirrors_settled_costs() {
    for (used, remaining) in [(10, 0), (7, 0), (2, 3), (0, 5)] {
        let (store, guard) = local_fallback(4);
        let policy = Policy::new("p", "20/day").unwrap();
        let key = Key::global();
        let reservation = guard.request(&policy, &key).cost(10).reserve().await.unwrap();
        assert_eq!(reservation.settle(used).await.unwrap().remaining(), 20 - used);
        store.fail(StoreError::Unreachable(None));
        assert_eq!(guard.peek(&policy, &key).await.unwrap().remaining(), remaining, "{used}");
    }
}

#[tokio::test]
async fn local_share_mirrors_costs_added_by_settle() {
    let (store, guard) = local_fallback(1);
    let policy = Policy::new("p", "10/day").unwrap();
    let key = Key::global();
    let reservation = guard.request(&policy, &key).reserve().await.unwrap();
    assert_eq!(reservation.settle(8).await.unwrap().remaining(), 2);
    store.fail(StoreError::Unreachable(None));
    assert_eq!(guard.peek(&policy, &key).await.unwrap().remaining(), 2);
}

#[tokio::test]
async fn new_ban_continues_in_local_fallback() {
    let (store, guard) = local_fallback(1);
    let policy_with = |name| Policy::new(name, "1/day").unwrap().ban("2/hour for 15m").unwrap();
    let (one, other, key) = (policy_with("one"), policy_with("other"), Key::global());
    for policy in [&one, &other] {
        for _ in 0..3 {
            guard.check(policy, &key).await.unwrap();
        }
    }
    store.fail(StoreError::Unreachable(None));
    for policy in [&one, &other] {
        assert!(guard.check(policy, &key).await.unwrap().banned_for().is_some());
    }
}

// The clock of Tokio is paused, so a busy machine cannot make a reply late.
#[tokio::test(start_paused = true)]
async fn cross_slot_checks_open_the_breaker() {
    struct CrossSlotStore(RemoteStore);

    impl Store for CrossSlotStore {
        fn apply<'a>(
            &'a self,
            operation: Operation,
            requests: &'a [BucketRequest<'a>],
        ) -> StoreFuture<'a> {
            if requests.len() > 1 {
                return StoreFuture::Ready(Err(StoreError::CrossSlot));
            }
            self.0.apply(operation, requests)
        }
    }

    let remote = RemoteStore::new();
    let guard = RateGuard::builder()
        .store(CrossSlotStore(remote.clone()))
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
async fn ban_checks_do_not_open_the_breaker() {
    let remote = RemoteStore::new();
    let guard = remote.guard().deadline(Duration::from_millis(4)).build().unwrap();
    let banning = Policy::new("banning", "1/day").unwrap().ban("1/hour for 15m").unwrap();
    for number in 0..50 {
        for _ in 0..2 {
            let _ = guard.check(&banning, &Key::from(number)).await;
        }
    }
    // A check with a ban calls the store several times. If only one of these calls is late, the store is not down, so
    // the breaker must stay closed.
    let results =
        join_all((0..20).map(async |_| guard.check(&policy(), &Key::global()).await)).await;
    assert!(results.iter().any(Result::is_ok), "{results:?}");
}

#[tokio::test]
async fn idle_guard_recovers_its_health() {
    let remote = RemoteStore::new();
    let guard = remote.guard().deadline(Duration::from_millis(20)).build().unwrap();
    remote.store.hang();
    join_all((0..20).map(async |_| guard.check(&policy(), &Key::global()).await)).await;
    assert_eq!(guard.health().cause(), Some(StoreError::Timeout));
    remote.store.work();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(guard.health().is_good());
}

#[tokio::test]
async fn multi_key_check_fails_closed_if_one_policy_does() {
    let store = FaultyStore::new(MemoryStore::new());
    let guard = RateGuard::builder().store(store.clone()).build().unwrap();
    let policy_with = |name, on_error| Policy::new(name, "5/day").unwrap().on_error(on_error);
    let (open, local, closed) = (
        policy_with("open", OnError::Open),
        policy_with("local", OnError::Local),
        policy_with("closed", OnError::Closed),
    );
    let key = Key::global();
    store.fail(StoreError::Unreachable(None));
    assert!(guard.check(&open, &key).await.unwrap_err().lets_pass());
    assert!(guard.request(&open, &key).and(&local, &key).check().await.unwrap().is_local());
    let all = guard.request(&open, &key).and(&local, &key).and(&closed, &key);
    assert!(!all.check().await.unwrap_err().lets_pass());
}

#[tokio::test]
async fn fail_closed_after_denies_until_the_store_replies() {
    for on_error in [OnError::Open, OnError::Local] {
        let store = FaultyStore::new(MemoryStore::new());
        let guard = RateGuard::builder()
            .store(store.clone())
            .on_error(on_error)
            .fail_closed_after(Duration::from_millis(100))
            .build()
            .unwrap();
        let (policy, key) = (policy(), Key::global());
        store.fail(StoreError::NotReady(None));
        let is_allowed = async || match guard.check(&policy, &key).await {
            Ok(decision) => decision.is_allowed(),
            Err(unavailable) => unavailable.lets_pass(),
        };
        assert!(is_allowed().await);
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert!(!is_allowed().await);
        assert!(
            guard
                .health()
                .down_for()
                .is_some_and(|duration| duration >= Duration::from_millis(100))
        );
        store.work();
        assert!(is_allowed().await);
        assert_eq!(guard.health().down_for(), None);
        store.fail(StoreError::NotReady(None));
        assert!(is_allowed().await);
    }
}

#[tokio::test]
async fn fail_closed_after_applies_to_each_failure_of_the_store() {
    for cause in [
        StoreError::InvalidReply,
        StoreError::UnknownCommand,
        StoreError::Database,
        StoreError::WrongServerKind,
        StoreError::Permission,
        StoreError::Forked,
        StoreError::Other("the table is locked"),
    ] {
        let store = FaultyStore::new(MemoryStore::new());
        let builder = RateGuard::builder().store(store.clone());
        let guard = builder.on_error(OnError::Open).fail_closed_after(Duration::ZERO).build();
        store.fail(cause);
        let error = guard.unwrap().check(&policy(), &Key::global()).await.unwrap_err();
        assert_eq!((error.cause(), error.lets_pass()), (cause, false));
    }
}

#[get("/local")]
#[rate_limit(rate = "4/minute", on_error = "local", name = "local-attribute")]
async fn attribute() -> &'static str {
    "ok"
}

#[actix_web::test]
async fn http_headers_report_the_local_share() {
    let store = FaultyStore::new(MemoryStore::new());
    let guard = RateGuard::builder().store(store.clone()).replicas(2).build().unwrap();
    let limit = RateLimit::new(&guard, Limit::new("4/minute").on_error(OnError::Local));
    let app = init_service(
        App::new()
            .app_data(guard.clone())
            .service(attribute)
            .service(web::resource("/middleware").wrap(limit).route(web::get().to(async || "ok"))),
    )
    .await;
    store.fail(StoreError::Unreachable(None));
    for path in ["/local", "/middleware"] {
        assert_eq!(get(&app, 1, path).await.numbers(), Some([2, 1, 60]), "{path}");
        assert_eq!(statuses(&app, 1, path, 2).await, [200, 429], "{path}");
    }
    assert_eq!(guard.failures().local, 6);
}
