//! Tests which checks are decided by the denial cache, and which checks are sent to the store.

use std::time::Duration;

use actix_rateguard::{Key, Limit, MemoryStore, Policy, RateGuard, RateLimit};
use actix_web::{
    App, HttpResponse,
    dev::ServiceResponse,
    test::{TestRequest, call_service, init_service, read_body},
    web,
};

use super::{HOUR, RemoteStore, admitted, denied, exhausted, policy, until_denied};
use crate::support::redis_server::RedisServer;

#[tokio::test]
async fn cached_denial_skips_the_store_and_reports_current_times() {
    let store = RemoteStore::new();
    let (guard, policy) = (store.guard(), policy());
    let key = exhausted(&guard, &policy).await;
    assert_eq!(store.take_calls(), 3);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut last = HOUR - Duration::from_millis(20);
    for _ in 0..100 {
        let decision = guard.check(&policy, &key).await.unwrap();
        let retry = decision.retry_after().unwrap();
        assert!(retry <= last && retry > HOUR - Duration::from_secs(100), "{retry:?} {last:?}");
        assert_eq!((decision.reset_after(), decision.remaining()), (retry, 0));
        last = retry;
    }
    assert_eq!(store.take_calls(), 0);
}

#[tokio::test]
async fn different_checks_miss_the_cache() {
    let store = RemoteStore::new();
    let (guard, policy) = (store.guard(), policy());
    let key = exhausted(&guard, &policy).await;
    store.take_calls();
    assert!(admitted(&guard, &policy, &Key::from("bob")).await);
    assert!(admitted(&guard, &Policy::new("q", "2/hour").unwrap(), &key).await);
    for cost in [2, 3] {
        let costly = guard.request(&policy, &key).cost(cost).check().await.unwrap();
        assert_eq!((costly.is_allowed(), costly.is_too_costly()), (false, cost == 3));
    }
    // These policies have the same name, but a different quota or a different number of quotas. The cached denial
    // must not apply to them.
    for quotas in ["1/hour", "2/day", "2/hour fixed_window", "2/hour; 5/day"] {
        let other = Policy::new("p", quotas).unwrap();
        assert!(!admitted(&guard, &other, &key).await, "{quotas}");
    }
    assert_eq!(guard.peek(&policy, &key).await.unwrap().remaining(), 0);
    assert_eq!(store.take_calls(), 9);
    assert!(admitted(&guard, &Policy::new("p", "3/hour").unwrap(), &key).await);
    assert!(guard.request(&policy, &key).cost(0).check().await.unwrap().is_allowed());

    // The request has two keys, and only one of them is exhausted.
    let bob = Key::from("bob");
    let both = guard.request(&policy, &key).and(&policy, &bob);
    store.take_calls();
    for _ in 0..3 {
        assert!(!both.check().await.unwrap().is_allowed());
    }
    assert_eq!(store.take_calls(), 3);
}

#[tokio::test]
async fn policies_of_one_key_are_cached_separately_and_combined() {
    let store = RemoteStore::new();
    let guard = store.guard();
    let inner = policy();
    let key = exhausted(&guard, &inner).await;
    store.take_calls();
    // Only the inner limit is exhausted. The outer limits have free capacity.
    for number in 0..20 {
        let outer = Policy::new(format!("outer-{number}"), "5/hour").unwrap();
        assert!(admitted(&guard, &outer, &key).await);
        denied(&guard, &inner, &key).await;
    }
    // In rare cases, two policies use the same cache entry. Then the guard sends a few more checks to the store.
    assert!((20..30).contains(&store.take_calls()));
    let outer = Policy::new("outer-1", "5/hour").unwrap();
    for _ in 0..10 {
        let both = guard.request(&outer, &key).and(&inner, &key).check().await.unwrap();
        let remaining = both.statuses().iter().map(|it| it.remaining()).collect::<Vec<_>>();
        assert_eq!((both.is_allowed(), both.policy(), remaining), (false, "p", vec![4, 0]));
    }
    assert_eq!(store.take_calls(), 1);
}

#[tokio::test]
async fn cached_denial_reports_current_numbers_of_all_quotas() {
    let store = RemoteStore::of(MemoryStore::new());
    let (guard, policy) = (store.guard(), Policy::new("p", "3/hour; 10/200ms").unwrap());
    let key = exhausted(&guard, &policy).await;
    // The quota with the short window has free capacity again, but the quota with the long window is still exhausted.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let decision = guard.check(&policy, &key).await.unwrap();
    let remaining = decision.statuses().iter().map(|it| it.remaining()).collect::<Vec<_>>();
    assert_eq!((decision.is_allowed(), remaining), (false, vec![0, 10]));
    store.take_calls();
    denied(&guard, &policy, &key).await;
    assert_eq!(store.take_calls(), 0);
}

#[tokio::test]
async fn offences_reach_the_store_and_bans_are_cached() {
    let store = RemoteStore::new();
    let guard = store.guard();
    let (policy, key) = (policy().ban("4/hour for 1m up to 1h").unwrap(), Key::from("ann"));
    let banned_for = async || guard.check(&policy, &key).await.unwrap().banned_for();
    for _ in 0..2 {
        assert!(admitted(&guard, &policy, &key).await);
    }
    for _ in 0..3 {
        assert_eq!(banned_for().await, None);
    }
    // The fourth offence starts a ban. The next check is denied by the ban, and the guard caches this denial.
    for _ in 0..2 {
        assert!(banned_for().await.is_some());
    }
    store.take_calls();
    for _ in 0..10 {
        let decision = guard.check(&policy, &key).await.unwrap();
        let ban = decision.banned_for().unwrap();
        assert!(ban <= Duration::from_secs(60) && !ban.is_zero(), "{ban:?}");
        assert!(decision.retry_after() >= Some(ban));
    }
    assert_eq!(store.take_calls(), 0);
    guard.reset(&policy, &key).await.unwrap();
    assert!(admitted(&guard, &policy, &key).await);
}

#[tokio::test]
async fn waiting_check_uses_the_cached_retry_time() {
    let store = RemoteStore::of(MemoryStore::new());
    let (guard, policy) = (store.guard(), Policy::new("p", "1/300ms").unwrap());
    let key = exhausted(&guard, &policy).await;
    assert!(guard.check_or_wait(&policy, &key, HOUR).await.unwrap().is_allowed());
    // Even after its maximum wait, the check would still be denied. Therefore the cache denies the check without a
    // wait.
    let policy = Policy::new("q", "1/hour").unwrap();
    let key = exhausted(&guard, &policy).await;
    store.take_calls();
    assert!(!guard.check_or_wait(&policy, &key, HOUR / 2).await.unwrap().is_allowed());
    assert_eq!(store.take_calls(), 0);
}

#[tokio::test]
async fn cached_denial_expires_at_its_retry_time() {
    let redis = RedisServer::start();
    let settings = redis.settings_with_denial_cache("short").deadline(HOUR / 60);
    let guard = settings.denial_cache_ttl(HOUR).build().unwrap();
    let policy = Policy::new("p", "2/300ms").unwrap();
    let key = Key::global();
    for _ in 0..3 {
        tokio::time::sleep(until_denied(&guard, &policy, &key).await).await;
        assert!(admitted(&guard, &policy, &key).await);
    }
}

#[actix_web::test]
async fn cached_denial_response_equals_the_store_response() {
    let store = RemoteStore::new();
    let guard: RateGuard = store.guard();
    let limit =
        RateLimit::new(&guard, Limit::new("2/hour; 9/day").key(|_: &_| Some(Key::global())));
    let page = web::resource("/").wrap(limit).get(HttpResponse::Ok);
    let app = init_service(App::new().service(page)).await;
    let request = async || call_service(&app, TestRequest::get().to_request()).await;
    for _ in 0..2 {
        assert_eq!(request().await.status(), 200);
    }
    let parts_of = async |response: ServiceResponse| {
        let status = response.status().as_u16();
        let mut headers: Vec<(String, String)> = response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .filter(|(name, _)| name != "date")
            .collect();
        for (_, value) in &mut headers {
            // The times in the headers become shorter during the test, so the test replaces them by an approximate
            // value.
            if let Ok(seconds @ 3_000..=3_600) = value.parse::<u32>() {
                *value = seconds.div_ceil(600).to_string();
            }
        }
        headers.sort_unstable();
        (status, headers, read_body(response).await)
    };
    let from_store = parts_of(request().await).await;
    store.take_calls();
    let from_cache = parts_of(request().await).await;
    assert_eq!((from_store.0, store.take_calls()), (429, 0));
    assert_eq!(from_store, from_cache);
}
