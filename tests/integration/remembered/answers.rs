//! What is answered from memory, and what is asked for.

use std::time::Duration;

use actix_web::{
    App, HttpResponse,
    dev::ServiceResponse,
    test::{TestRequest, call_service, init_service, read_body},
    web,
};
use rateguard::{Key, MemoryStore, Policy, RateGuard, RateLimit};

use super::{Elsewhere, HOUR, admitted, denied, exhausted, policy, until_denied};
use crate::support::redis_server::RedisServer;

#[tokio::test]
async fn who_is_denied_again_costs_the_store_nothing_and_is_told_the_truth() {
    let store = Elsewhere::new();
    let (guard, policy) = (store.guard(), policy());
    let key = exhausted(&guard, &policy).await;
    assert_eq!(store.asked(), 3);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut last = HOUR - Duration::from_millis(20);
    for _ in 0..100 {
        let decision = guard.check(&policy, &key).await.unwrap();
        let retry = decision.retry_after().unwrap();
        assert!(retry <= last && retry > HOUR - Duration::from_secs(100), "{retry:?} {last:?}");
        assert_eq!((decision.reset_after(), decision.remaining()), (retry, 0));
        last = retry;
    }
    assert_eq!(store.asked(), 0);
}

#[tokio::test]
async fn other_questions_are_asked() {
    let store = Elsewhere::new();
    let (guard, policy) = (store.guard(), policy());
    let key = exhausted(&guard, &policy).await;
    store.asked();
    assert!(admitted(&guard, &policy, &Key::from("bob")).await);
    assert!(admitted(&guard, &Policy::new("q", "2/hour").unwrap(), &key).await);
    for cost in [2, 3] {
        let costly = guard.request(&policy, &key).cost(cost).check().await.unwrap();
        assert_eq!((costly.is_allowed(), costly.is_too_costly()), (false, cost == 3));
    }
    // Another quota under the same name, and another number of them.
    for quotas in ["1/hour", "2/day", "2/hour fixed_window", "2/hour; 5/day"] {
        let other = Policy::new("p", quotas).unwrap();
        assert!(!admitted(&guard, &other, &key).await, "{quotas}");
    }
    assert_eq!(guard.peek(&policy, &key).await.unwrap().remaining(), 0);
    assert_eq!(store.asked(), 9);
    assert!(admitted(&guard, &Policy::new("p", "3/hour").unwrap(), &key).await);
    assert!(guard.request(&policy, &key).cost(0).check().await.unwrap().is_allowed());

    // Several keys, of which one is exhausted.
    let bob = Key::from("bob");
    let both = guard.request(&policy, &key).and(&policy, &bob);
    store.asked();
    for _ in 0..3 {
        assert!(!both.check().await.unwrap().is_allowed());
    }
    assert_eq!(store.asked(), 3);
}

#[tokio::test]
async fn several_policies_of_one_key_are_remembered_each_and_together() {
    let store = Elsewhere::new();
    let guard = store.guard();
    let inner = policy();
    let key = exhausted(&guard, &inner).await;
    store.asked();
    // As one limit around the other, of which the outer ones have room.
    for number in 0..20 {
        let outer = Policy::new(format!("outer-{number}"), "5/hour").unwrap();
        assert!(admitted(&guard, &outer, &key).await);
        denied(&guard, &inner, &key).await;
    }
    // Seldom, two policies are taken for one.
    assert!((20..30).contains(&store.asked()));
    let outer = Policy::new("outer-1", "5/hour").unwrap();
    for _ in 0..10 {
        let both = guard.request(&outer, &key).and(&inner, &key).check().await.unwrap();
        let left = both.standings().iter().map(|it| it.remaining()).collect::<Vec<_>>();
        assert_eq!((both.is_allowed(), both.policy(), left), (false, "p", vec![4, 0]));
    }
    assert_eq!(store.asked(), 1);
}

#[tokio::test]
async fn of_several_quotas_all_numbers_are_those_of_now() {
    let store = Elsewhere::of(MemoryStore::new());
    let (guard, policy) = (store.guard(), Policy::new("p", "3/hour; 10/200ms").unwrap());
    let key = exhausted(&guard, &policy).await;
    // All of the shorter one is there again; the longer one is as it was.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let decision = guard.check(&policy, &key).await.unwrap();
    let left = decision.standings().iter().map(|it| it.remaining()).collect::<Vec<_>>();
    assert_eq!((decision.is_allowed(), left), (false, vec![0, 10]));
    store.asked();
    denied(&guard, &policy, &key).await;
    assert_eq!(store.asked(), 0);
}

#[tokio::test]
async fn offences_are_counted_and_who_is_banned_is_remembered() {
    let store = Elsewhere::new();
    let guard = store.guard();
    let (policy, key) = (policy().ban("4/hour for 1m up to 1h").unwrap(), Key::from("ann"));
    let banned_for = async || guard.check(&policy, &key).await.unwrap().banned_for();
    for _ in 0..2 {
        assert!(admitted(&guard, &policy, &key).await);
    }
    for _ in 0..3 {
        assert_eq!(banned_for().await, None);
    }
    // The fourth offence begins it, and from the next on it is remembered.
    for _ in 0..2 {
        assert!(banned_for().await.is_some());
    }
    store.asked();
    for _ in 0..10 {
        let decision = guard.check(&policy, &key).await.unwrap();
        let ban = decision.banned_for().unwrap();
        assert!(ban <= Duration::from_secs(60) && !ban.is_zero(), "{ban:?}");
        assert!(decision.retry_after() >= Some(ban));
    }
    assert_eq!(store.asked(), 0);
    guard.reset(&policy, &key).await.unwrap();
    assert!(admitted(&guard, &policy, &key).await);
}

#[tokio::test]
async fn who_waits_waits_for_as_long_as_was_remembered() {
    let store = Elsewhere::of(MemoryStore::new());
    let (guard, policy) = (store.guard(), Policy::new("p", "1/300ms").unwrap());
    let key = exhausted(&guard, &policy).await;
    assert!(guard.check_or_wait(&policy, &key, HOUR).await.unwrap().is_allowed());
    // Too long: a denial at once, which takes nothing.
    let policy = Policy::new("q", "1/hour").unwrap();
    let key = exhausted(&guard, &policy).await;
    store.asked();
    assert!(!guard.check_or_wait(&policy, &key, HOUR / 2).await.unwrap().is_allowed());
    assert_eq!(store.asked(), 0);
}

#[tokio::test]
async fn nothing_is_remembered_for_longer_than_until_it_may_come_back() {
    let redis = RedisServer::start();
    let settings = redis.as_usual("short").deadline(HOUR / 60);
    let guard = settings.remember_denials(HOUR).build().unwrap();
    let policy = Policy::new("p", "2/300ms").unwrap();
    let key = Key::global();
    for _ in 0..3 {
        tokio::time::sleep(until_denied(&guard, &policy, &key).await).await;
        assert!(admitted(&guard, &policy, &key).await);
    }
}

#[actix_web::test]
async fn a_client_cannot_tell_a_denial_from_memory() {
    let store = Elsewhere::new();
    let guard: RateGuard = store.guard();
    let limit = RateLimit::new(&guard, "2/hour; 9/day").by(|_: &_| Some(Key::global()));
    let page = web::resource("/").wrap(limit).get(HttpResponse::Ok);
    let app = init_service(App::new().service(page)).await;
    let ask = async || call_service(&app, TestRequest::get().to_request()).await;
    for _ in 0..2 {
        assert_eq!(ask().await.status(), 200);
    }
    let told = async |answer: ServiceResponse| {
        let status = answer.status().as_u16();
        let mut headers: Vec<(String, String)> = answer
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .filter(|(name, _)| name != "date")
            .collect();
        for (_, value) in &mut headers {
            // Time goes by.
            if let Ok(seconds @ 3_000..=3_600) = value.parse::<u32>() {
                *value = seconds.div_ceil(600).to_string();
            }
        }
        headers.sort_unstable();
        (status, headers, read_body(answer).await)
    };
    let asked = told(ask().await).await;
    store.asked();
    let remembered = told(ask().await).await;
    assert_eq!((asked.0, store.asked()), (429, 0));
    assert_eq!(asked, remembered);
}
