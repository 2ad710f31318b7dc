//! Limits in shadow over HTTP: nobody is refused, and nobody is told.

use actix_web::{App, HttpResponse, Responder, get, test::init_service, web};
use rateguard::{
    Count, Decision, MemoryStore, OnError, Penalty, Policy, RateGuard, RateLimit, StoreError, key,
    rate_limit, test_util::FaultyStore,
};

use super::report;
use crate::support::{
    app::{get, statuses},
    folder::Folder,
};

#[get("/shadow")]
#[rate_limit(rate = "2/365d", name = "shadow", shadow = true, on_error = "closed")]
async fn shadow(decision: Option<Decision>) -> impl Responder {
    assert!(decision.is_none(), "nothing of it is told");
    "ok"
}

#[get("/penal")]
#[rate_limit(rate = "9/365d", name = "penal", shadow = true)]
async fn penal(penalty: Penalty) -> impl Responder {
    penalty.add(4);
    "ok"
}

#[actix_web::test]
async fn a_penalty_under_a_limit_in_shadow_is_no_other_limits() {
    let guard = RateGuard::in_memory();
    let outer = RateLimit::new(&guard, "5/365d").by(key::global()).name("outer");
    let app = App::new().app_data(guard.clone()).wrap(outer).service(penal);
    let app = init_service(app).await;
    // Only itself is counted of each by the outer one, and itself and its penalty by the inner one.
    assert_eq!(statuses(&app, 1, "/penal", 6).await, [200, 200, 200, 200, 200, 429]);
    assert_eq!(report(&guard, "penal", 5).await, [2, 3, 0]);
}

#[get("/both")]
#[rate_limit(rate = "2/365d", name = "tried", shadow = true)]
#[rate_limit(rate = "3/365d", name = "enforced")]
async fn both() -> impl Responder {
    "ok"
}

#[get("/rolled")]
#[rate_limit(rate = "9/365d", name = "rolled", shadow = "4/365d", rollout = 100)]
async fn rolled() -> impl Responder {
    "ok"
}

#[get("/login/{status}")]
#[rate_limit(rate = "9/365d", name = "login", shadow = "2/365d", count = "status:401")]
async fn login(status: web::Path<u16>) -> HttpResponse {
    HttpResponse::build((*status).try_into().unwrap()).finish()
}

#[get("/policy")]
#[rate_limit(policy = "search")]
async fn by_name() -> impl Responder {
    "ok"
}

#[actix_web::test]
async fn a_limit_in_shadow_refuses_nobody_and_writes_no_header() {
    let faults = FaultyStore::new(MemoryStore::new());
    let guard = RateGuard::builder().store(faults.clone()).build().unwrap();
    let ok = || web::get().to(async || "ok");
    let limit = RateLimit::new(&guard, "2/365d").name("wrapped").shadow();
    let app = app!(guard, shadow, web::resource("/wrapped").wrap(limit).route(ok()));
    for (path, name) in [("/shadow", "shadow"), ("/wrapped", "wrapped")] {
        for _ in 0..5 {
            let answer = get(&app, 1, path).await;
            assert_eq!((answer.status, answer.numbers()), (200, None));
            assert_eq!(answer.header("retry-after"), None);
        }
        assert_eq!(report(&guard, name, 5).await, [2, 3, 0]);
    }
    faults.fail(StoreError::Unreachable);
    assert_eq!(statuses(&app, 1, "/shadow", 3).await, [200; 3]);
    assert_eq!(report(&guard, "shadow", 8).await, [2, 3, 3]);
}

#[actix_web::test]
async fn beside_another_limit_only_that_one_is_told_of() {
    let guard = RateGuard::in_memory();
    let app = app!(guard, both);
    for left in [2, 1, 0] {
        assert_eq!(get(&app, 1, "/both").await.numbers().unwrap()[..2], [3, left]);
    }
    assert_eq!(get(&app, 1, "/both").await.status, 429);
    assert_eq!(report(&guard, "tried", 4).await, [2, 2, 0]);
}

#[actix_web::test]
async fn what_is_rolled_out_is_enforced_and_told() {
    let guard = RateGuard::in_memory();
    let app = app!(guard, rolled);
    assert_eq!(get(&app, 1, "/rolled").await.numbers().unwrap()[..2], [4, 3]);
    assert_eq!(statuses(&app, 1, "/rolled", 4).await, [200, 200, 200, 429]);
    assert_eq!(guard.shadow_report(), []);
}

#[actix_web::test]
async fn what_does_not_count_does_not_count_in_shadow() {
    let guard = RateGuard::in_memory();
    let ok = || {
        web::get()
            .to(async || -> actix_web::Result<&str> { Err(actix_web::error::ErrorNotFound("no")) })
    };
    let limit = RateLimit::new(&guard, "1/365d").name("alone").shadow().count(Count::Success);
    let app = app!(guard, login, web::resource("/alone").wrap(limit).route(ok()));
    assert_eq!(statuses(&app, 1, "/login/200", 5).await, [200; 5]);
    assert_eq!(statuses(&app, 1, "/login/401", 4).await, [401; 4]);
    // Five that were given back, two that count, and two that would have been too many.
    assert_eq!(report(&guard, "login", 9).await, [7, 2, 0]);
    assert_eq!(statuses(&app, 1, "/alone", 5).await, [404; 5]);
    assert_eq!(report(&guard, "alone", 5).await, [5, 0, 0]);
}

#[actix_web::test]
async fn a_policy_of_the_guard_or_of_its_file_is_tried_as_it_says() {
    let of_code = Policy::new("search", "2/365d").unwrap().shadow();
    let of_code = RateGuard::builder().policy(of_code).for_attributes(false).build().unwrap();
    let folder = Folder::new();
    let text = "[policies.search]\nrate = \"2/365d\"\nshadow = true\non_error = \"closed\"\n";
    let of_file = RateGuard::builder()
        .policies_file(folder.file("rateguard.toml", text))
        .for_attributes(false)
        .on_error(OnError::Closed)
        .build()
        .unwrap();
    for guard in [of_code, of_file] {
        let app = app!(guard, by_name);
        assert_eq!(statuses(&app, 1, "/policy", 5).await, [200; 5]);
        assert_eq!(report(&guard, "search", 5).await, [2, 3, 0]);
    }
}

#[test]
#[should_panic(
    expected = "have different things in shadow, 3/365 days for 0 % of the keys and nothing"
)]
fn two_limits_of_one_name_try_the_same() {
    let guard = RateGuard::in_memory();
    let limit = || RateLimit::new(&guard, "9/365d").name("app");
    let (one, other) = (limit().candidate("3/365d"), limit());
    let service = || {
        actix_web::dev::fn_service(async |request: actix_web::dev::ServiceRequest| {
            Ok::<_, actix_web::Error>(request.into_response(HttpResponse::Ok().finish()))
        })
    };
    for limit in [one, other] {
        drop(actix_web::dev::Transform::new_transform(&limit, service()));
    }
}

#[test]
#[should_panic(expected = "the policy `search` already says this; leave `candidate` out")]
fn a_policy_says_what_is_tried() {
    let policy = Policy::new("search", "9/365d").unwrap();
    let guard = RateGuard::builder().policy(policy).for_attributes(false).build().unwrap();
    let _ = RateLimit::policy(&guard, "search").candidate("3/365d");
}
