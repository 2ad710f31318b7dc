//! Tests `acquire` and `acquire_or_wait` without HTTP, in memory and on Redis.

use std::time::Duration;

use actix_rateguard::{
    Acquisition, Key, MemoryStore, Permit, Policy, RateGuard,
    test_util::{ManualClock, TokioClock},
};
use futures_util::{FutureExt, future::join_all};

use crate::support::{TEST_TIMEOUT, redis_server::RedisServer};

fn policy(quotas: &str) -> Policy {
    Policy::new("exports", quotas.to_owned()).unwrap()
}

async fn acquire(guard: &RateGuard, policy: &Policy) -> Option<Permit> {
    guard.acquire(policy, &Key::global()).await.unwrap().into_permit()
}

/// Waits until a permit is free. The release of a dropped permit takes a moment.
async fn eventually_acquire(guard: &RateGuard, policy: &Policy) -> Permit {
    let acquired = guard.acquire_or_wait(policy, &Key::global(), TEST_TIMEOUT).await.unwrap();
    acquired.into_permit().expect("a permit is free")
}

async fn held(guard: &RateGuard, policy: &Policy) -> u32 {
    let decision = guard.peek(policy, &Key::global()).await.unwrap();
    decision.statuses().iter().find_map(|status| status.held_permits()).unwrap()
}

async fn permits_are_limited(guard: &RateGuard) {
    let policy = policy("2 concurrent");
    let first = acquire(guard, &policy).await.unwrap();
    let second = acquire(guard, &policy).await.unwrap();
    assert!(first.is_valid() && second.is_valid());
    let Acquisition::Denied(denial) = guard.acquire(&policy, &Key::global()).await.unwrap() else {
        panic!("there are two permits")
    };
    assert!(denial.is_denied_by_concurrency() && !denial.is_too_costly());
    assert_eq!((denial.retry_after(), denial.remaining(), denial.limit()), (None, 0, 2));
    // A check needs room, but takes no permit.
    assert!(!guard.check(&policy, &Key::global()).await.unwrap().is_allowed());
    assert_eq!(held(guard, &policy).await, 2);
    first.release().await;
    assert!(guard.check(&policy, &Key::global()).await.unwrap().is_allowed());
    assert!(guard.check(&policy, &Key::global()).await.unwrap().is_allowed());
    let third = acquire(guard, &policy).await.expect("a permit was released");
    assert_eq!(third.decision().remaining(), 0);
    drop((second, third));
    let both = [eventually_acquire(guard, &policy).await, eventually_acquire(guard, &policy).await];
    // Each key has its own permits.
    assert!(guard.acquire(&policy, &Key::from("other")).await.unwrap().is_granted());
    assert_eq!(both.len() as u32, held(guard, &policy).await);
}

#[tokio::test]
async fn permits_are_limited_in_memory() {
    permits_are_limited(&RateGuard::in_memory()).await;
}

#[tokio::test]
async fn permits_are_limited_on_redis() {
    permits_are_limited(&RedisServer::start().guard("permits")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn permits_are_limited_on_redis_with_several_threads() {
    permits_are_limited(&RedisServer::start().guard("permits")).await;
}

async fn rate_and_permit_are_taken_together(guard: &RateGuard) {
    let policy = policy("2/hour; 1 concurrent");
    let permit = acquire(guard, &policy).await.unwrap();
    // The second request has no permit, so it must not take a unit of the rate.
    let denial = guard.acquire(&policy, &Key::global()).await.unwrap();
    assert!(denial.decision().is_denied_by_concurrency());
    assert_eq!(denial.decision().statuses()[0].remaining(), 1);
    permit.release().await;
    acquire(guard, &policy).await.unwrap().release().await;
    // Now the rate has no room, so the request must not take the permit.
    let denial = guard.acquire(&policy, &Key::global()).await.unwrap();
    assert!(!denial.is_granted() && !denial.decision().is_denied_by_concurrency());
    assert!(denial.decision().retry_after() > Some(Duration::from_secs(3_000)));
    assert_eq!(denial.decision().statuses()[1].held_permits(), Some(0));
}

#[tokio::test]
async fn rate_and_permit_are_taken_together_in_memory() {
    rate_and_permit_are_taken_together(&RateGuard::in_memory()).await;
}

#[tokio::test]
async fn rate_and_permit_are_taken_together_on_redis() {
    rate_and_permit_are_taken_together(&RedisServer::start().guard("both")).await;
}

#[tokio::test]
async fn request_without_a_cost_holds_a_permit() {
    let guard = RateGuard::in_memory();
    let policy = Policy::new("free", "9/hour; 1 concurrent").unwrap();
    let key = Key::global();
    let request = guard.request(&policy, &key).cost(0);
    let permit = request.clone().acquire().await.unwrap().into_permit().unwrap();
    assert_eq!(permit.decision().statuses()[0].remaining(), 9);
    assert!(request.acquire().await.unwrap().decision().is_denied_by_concurrency());
}

#[tokio::test]
async fn request_holds_one_permit_whatever_it_costs() {
    let guard = RateGuard::in_memory();
    let policy = policy("100/hour; 2 concurrent");
    let request = guard.request(&policy, &Key::global()).cost(7);
    let permit = request.acquire().await.unwrap().into_permit().unwrap();
    assert_eq!(permit.decision().statuses()[0].remaining(), 93);
    assert_eq!(held(&guard, &policy).await, 1);
    // The same limit twice in one request.
    let key = Key::global();
    let twice = guard.request(&policy, &key).and(&policy, &key).acquire().await.unwrap();
    assert_eq!(held(&guard, &policy).await, 2);
    drop((permit, twice));
    assert_eq!(held(&guard, &policy).await, 0);
    // A debit takes no permit, even if all permits are held.
    let only = Policy::new("only", "1 concurrent").unwrap();
    let _permit = guard.acquire(&only, &key).await.unwrap();
    assert!(guard.request(&only, &key).cost(3).debit().await.unwrap().is_allowed());
}

#[test]
fn permit_in_memory_needs_no_runtime_and_never_expires() {
    let clock = ManualClock::new();
    let store = MemoryStore::new().clock(clock.clone());
    let guard = RateGuard::builder().store(store).build().unwrap();
    let policy = policy("1 concurrent");
    let acquire = || guard.acquire(&policy, &Key::global()).now_or_never().unwrap().unwrap();
    let permit = acquire().into_permit().unwrap();
    clock.advance(Duration::from_secs(86_400));
    assert!(permit.is_valid() && !acquire().is_granted());
    drop(permit);
    assert!(acquire().is_granted());
}

#[tokio::test(start_paused = true)]
async fn waiting_request_gets_the_permit_of_a_request_that_ends() {
    let store = MemoryStore::new().clock(TokioClock::new());
    let guard = RateGuard::builder().store(store).build().unwrap();
    let policy = policy("1 concurrent");
    let (key, second) = (Key::global(), Duration::from_secs(1));
    let permit = acquire(&guard, &policy).await.unwrap();
    let start = tokio::time::Instant::now();
    let denial = guard.acquire_or_wait(&policy, &key, 3 * second).await.unwrap();
    assert!(!denial.is_granted() && start.elapsed() >= 3 * second && start.elapsed() < 4 * second);
    let release = async {
        tokio::time::sleep(2 * second).await;
        drop(permit);
    };
    let wait = guard.acquire_or_wait(&policy, &key, 9 * second);
    let ((), waited) = futures_util::join!(release, wait);
    assert!(waited.unwrap().is_granted());
}

#[tokio::test]
async fn waiting_requests_never_exceed_the_limit() {
    let server = RedisServer::start();
    let guard = server.guard("wait");
    let policy = policy("3 concurrent");
    let running = std::sync::atomic::AtomicUsize::new(0);
    let work = async || {
        use std::sync::atomic::Ordering::SeqCst;
        let permit = eventually_acquire(&guard, &policy).await;
        let now = running.fetch_add(1, SeqCst) + 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
        running.fetch_sub(1, SeqCst);
        permit.release().await;
        now
    };
    let most = join_all((0..20).map(|_| work())).await.into_iter().max();
    assert!(most <= Some(3), "{most:?}");
    assert_eq!(held(&guard, &policy).await, 0);
}

#[tokio::test]
async fn cancelled_acquisition_leaves_no_permit() {
    let server = RedisServer::start();
    let guard = server.guard("cancelled");
    let policy = policy("1 concurrent lease 1h");
    for polls in [1, 2, 3] {
        let key = Key::global();
        let mut acquire = Box::pin(guard.acquire(&policy, &key));
        for _ in 0..polls {
            // The reply may arrive between two polls.
            if futures_util::poll!(&mut acquire).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(acquire);
        eventually_acquire(&guard, &policy).await.release().await;
    }
}

#[tokio::test]
async fn reset_releases_the_permits_of_a_key() {
    let guard = RateGuard::in_memory();
    let policy = policy("1 concurrent");
    let lost = acquire(&guard, &policy).await.unwrap();
    guard.reset(&policy, &Key::global()).await.unwrap();
    let permit = acquire(&guard, &policy).await.expect("the reset has released the permit");
    // The release of the earlier permit does not release the permit of the other holder.
    drop(lost);
    assert!(acquire(&guard, &policy).await.is_none());
    drop(permit);
}

#[tokio::test]
async fn permit_can_be_dropped_without_a_runtime() {
    let server = RedisServer::start();
    let guard = server.guard("thread");
    let policy = policy("1 concurrent lease 1h");
    let permit = acquire(&guard, &policy).await.unwrap();
    std::thread::spawn(move || drop(permit)).join().unwrap();
    drop(eventually_acquire(&guard, &policy).await);
    // The last permit keeps the guard until its release.
    let permit = eventually_acquire(&guard, &policy).await;
    let other = server.guard("thread");
    drop(guard);
    std::thread::spawn(move || drop(permit)).join().unwrap();
    drop(eventually_acquire(&other, &policy).await);
}

#[tokio::test]
async fn closed_guard_has_released_its_permits() {
    let server = RedisServer::start();
    let (guard, other) = (server.guard("close"), server.guard("close"));
    let policy = policy("1 concurrent lease 1h");
    let permit = acquire(&guard, &policy).await.unwrap();
    guard.close().await;
    assert!(!permit.is_valid());
    assert!(acquire(&other, &policy).await.is_some());
    drop(permit);
}

#[tokio::test]
async fn change_between_rate_and_permits_carries_nothing_over() {
    for guard in [RateGuard::in_memory(), RedisServer::start().guard("change")] {
        let (rate, permits) = (policy("1/hour"), policy("1 concurrent"));
        let permit = acquire(&guard, &permits).await.unwrap();
        assert!(guard.allows(&rate, &Key::global()).await);
        assert!(!guard.allows(&rate, &Key::global()).await);
        assert!(acquire(&guard, &permits).await.is_none());
        permit.release().await;
        let _permit = acquire(&guard, &permits).await.expect("the rate took no permit");
    }
}
