//! Tests overrides together with the other settings of a limit: plans, bans, shadow mode, permits, leases, resets and
//! the denial cache.

use std::time::Duration;

use actix_rateguard::{Key, Limit, Plan, Policy, RateGuard, RateLimit};
use actix_web::{
    App, HttpRequest,
    dev::Service,
    test::{TestRequest, init_service},
    web,
};

use super::{HOUR, check, policy};
use crate::support::{
    TEST_TIMEOUT,
    app::{from_client, send},
    redis_server::RedisServer,
};

fn guard() -> RateGuard {
    RateGuard::builder().for_attributes(false).overrides(true).build().unwrap()
}

#[actix_web::test]
async fn override_wins_over_limited_and_unlimited_plans() {
    let guard = guard();
    let plan = |request: &HttpRequest| match request.query_string() {
        "free" => Plan::of("1/hour"),
        _ => Plan::Unlimited,
    };
    let limit = Limit::plan(plan).key(|_: &HttpRequest| Some("ann")).name("override-plan");
    let app = init_service(
        App::new().wrap(RateLimit::new(&guard, limit)).route("/", web::get().to(async || "ok")),
    )
    .await;
    let request = async |plan: &str| {
        let request = TestRequest::with_uri(&format!("/?{plan}"));
        let response = send(&app, from_client(1, request)).await;
        (response.status, response.header("x-ratelimit-remaining").map(str::to_owned))
    };
    let remaining = |units: &str| Some(units.to_owned());
    assert_eq!(request("free").await, (200, remaining("0")));
    assert_eq!(request("free").await.0, 429);
    assert_eq!(request("unlimited").await, (200, None));

    let policy = guard.policy_of_limit("override-plan").unwrap();
    guard.set_override(&policy, &Key::from("ann"), "3/hour", HOUR).await.unwrap();
    assert_eq!(request("free").await, (200, remaining("1")));
    assert_eq!(request("unlimited").await, (200, remaining("0")));
    assert_eq!(request("unlimited").await.0, 429);
    let http = TestRequest::with_uri("/?unlimited");
    let explanation = guard.explain_request(&from_client(1, http).to_http_request(), &[]).await;
    let explained = &explanation.limits()[0];
    assert_eq!((explained.is_overridden, explained.outcome.passes()), (Some(true), Some(false)));
    assert_eq!(explained.limit.overridden_keys, 1);
    assert!(explanation.to_string().contains("under an override"), "{explanation}");

    guard.remove_override(&policy, &Key::from("ann")).await.unwrap();
    assert_eq!(request("unlimited").await, (200, None));
}

#[actix_web::test]
async fn override_that_begins_between_two_layers_counts_the_request_once() {
    let policy = Policy::new("override-layers", "5/hour").unwrap();
    let builder = RateGuard::builder().for_attributes(false).overrides(true);
    let guard = builder.policy(policy.clone()).build().unwrap();
    let limit = || RateLimit::new(&guard, Limit::policy("override-layers").key("global"));
    let (setter, of) = (guard.clone(), policy.clone());
    let app = init_service(
        App::new()
            .wrap(limit())
            .wrap_fn(move |request, service| {
                let (call, setter, of) = (service.call(request), setter.clone(), of.clone());
                async move {
                    setter.set_override(&of, &Key::global(), "9/hour", HOUR).await.unwrap();
                    call.await
                }
            })
            .wrap(limit())
            .route("/", web::get().to(async || "ok")),
    )
    .await;
    assert_eq!(send(&app, from_client(1, TestRequest::with_uri("/"))).await.status, 200);
    assert_eq!(guard.peek(&policy, &Key::global()).await.unwrap().remaining(), 8);
}

#[tokio::test]
async fn override_keeps_ban_shadow_mode_and_candidate() {
    let guard = guard();
    let key = Key::from("ann");
    let banning = Policy::new("banning", "3/hour").unwrap().ban("2/hour for 1h").unwrap();
    guard.set_override(&banning, &key, "1/hour", HOUR).await.unwrap();
    assert!(guard.allows(&banning, &key).await);
    for _ in 0..2 {
        assert!(!guard.allows(&banning, &key).await);
    }
    assert!(guard.check(&banning, &key).await.unwrap().banned_for().is_some());

    let shadow = Policy::new("shadow", "3/hour").unwrap().shadow();
    guard.set_override(&shadow, &key, "1/hour", HOUR).await.unwrap();
    let decisions = [(); 2].map(|()| guard.check(&shadow, &key));
    let [first, second] = futures_util::future::join_all(decisions).await.try_into().unwrap();
    assert!(!first.unwrap().would_deny());
    let second = second.unwrap();
    assert!(second.is_allowed() && second.would_deny());

    // The candidate still counts, but it is not enforced for this key.
    let candidate = Policy::new("candidate", "3/hour").unwrap().candidate("1/hour").unwrap();
    let candidate = candidate.rollout(100).unwrap();
    assert_eq!(check(&guard, &candidate, &key).await, (true, 0));
    guard.set_override(&candidate, &key, "5/hour", HOUR).await.unwrap();
    assert_eq!(check(&guard, &candidate, &key).await, (true, 3));
    guard.remove_override(&candidate, &key).await.unwrap();
    assert_eq!(check(&guard, &candidate, &key).await, (false, 0));
}

#[tokio::test]
async fn reset_of_a_key_with_an_override_deletes_all_counts_of_the_policy() {
    let guard = guard();
    let (policy, key) = (Policy::new("two", "5/hour; 2/day").unwrap(), Key::from("ann"));
    for _ in 0..2 {
        assert!(guard.allows(&policy, &key).await);
    }
    guard.set_override(&policy, &key, "9/hour", HOUR).await.unwrap();
    assert_eq!(check(&guard, &policy, &key).await, (true, 6));
    guard.reset(&policy, &key).await.unwrap();
    guard.remove_override(&policy, &key).await.unwrap();
    let statuses = guard.peek(&policy, &key).await.unwrap();
    let remaining: Vec<_> = statuses.statuses().iter().map(|it| it.remaining()).collect();
    assert_eq!(remaining, [5, 2]);
}

#[tokio::test]
async fn override_of_permits_takes_effect_while_permits_are_held() {
    let guard = guard();
    let (policy, key) =
        (Policy::new("exports", "1 concurrent lease minute").unwrap(), Key::from("ann"));
    let acquire = async || guard.acquire(&policy, &key).await.unwrap().into_permit();
    let first = acquire().await;
    assert!(first.is_some() && acquire().await.is_none());
    guard.set_override(&policy, &key, "2 concurrent lease minute", HOUR).await.unwrap();
    let second = acquire().await;
    assert!(second.is_some() && acquire().await.is_none());
    guard.remove_override(&policy, &key).await.unwrap();
    drop(first);
    assert!(acquire().await.is_none());
    drop(second);
    assert!(acquire().await.is_some());
}

#[tokio::test]
async fn request_with_several_keys_applies_each_override() {
    let guard = guard();
    let (user, tenant) = (policy(), Policy::new("tenant", "9/hour").unwrap());
    let (ann, shop) = (Key::from("ann"), Key::from("shop"));
    guard.set_override(&tenant, &shop, "1/hour", HOUR).await.unwrap();
    let request = guard.request(&user, &ann).and(&tenant, &shop);
    assert!(request.check().await.unwrap().is_allowed());
    let denied = request.reserve().await.unwrap();
    assert_eq!((denied.decision().is_allowed(), denied.decision().policy()), (false, "tenant"));
}

#[tokio::test]
async fn cached_denial_of_the_old_quota_does_not_delay_an_override() {
    let redis = RedisServer::start();
    let settings = redis.settings_with_denial_cache("cached").denial_cache_ttl(HOUR);
    let guard = settings.deadline(TEST_TIMEOUT).overrides(true).build().unwrap();
    let (policy, key) = (policy(), Key::from("ann"));
    for expected in [true, true, true, false, false] {
        assert_eq!(guard.allows(&policy, &key).await, expected);
    }
    guard.set_override(&policy, &key, "9/hour", HOUR).await.unwrap();
    assert_eq!(check(&guard, &policy, &key).await, (true, 5));
    guard.remove_override(&policy, &key).await.unwrap();
    assert!(!guard.allows(&policy, &key).await);
}

#[tokio::test]
async fn units_of_a_lease_are_not_used_under_an_override() {
    let redis = RedisServer::start();
    let guard = redis.settings("leased").deadline(TEST_TIMEOUT).overrides(true).build().unwrap();
    let policy = Policy::new("leased", "200/10m lease 20 for 10s").unwrap();
    let key = Key::from("ann");
    loop {
        let decision = guard.check(&policy, &key).await.unwrap();
        assert!(decision.is_allowed());
        if decision.is_leased() {
            break;
        }
        // Without a pause, the loop uses all units before the first lease arrives.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    guard.set_override(&policy, &key, "1/10m", HOUR).await.unwrap();
    let denied = guard.check(&policy, &key).await.unwrap();
    assert!(!denied.is_allowed() && !denied.is_leased());
    guard.remove_override(&policy, &key).await.unwrap();
    assert!(guard.allows(&policy, &key).await);
}
