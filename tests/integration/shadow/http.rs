//! Tests shadow limits over HTTP. These limits must not reject any request, and responses must not contain the numbers
//! of these limits.

use actix_rateguard::{
    CheckResult, Count, Limit, MemoryStore, Penalty, Policy, RateGuard, RateLimit, StoreError,
    UndecidedReason, key, rate_limit, test_util::FaultyStore,
};
use actix_web::{App, HttpResponse, Responder, get, test::init_service, web};

use super::report;
use crate::support::{
    app::{attribute_guard, get, statuses},
    folder::Folder,
};

#[get("/shadow")]
#[rate_limit(rate = "2/365d", name = "shadow", shadow = true, on_error = "closed")]
async fn shadow(result: CheckResult) -> impl Responder {
    assert!(
        matches!(result, CheckResult::Undecided(UndecidedReason::Shadow)),
        "the handler receives {result:?} of a shadow limit"
    );
    "ok"
}

#[get("/penalty")]
#[rate_limit(rate = "9/365d", name = "penalty", shadow = true)]
async fn with_penalty(penalty: Penalty) -> impl Responder {
    penalty.add(4);
    "ok"
}

#[actix_web::test]
async fn penalty_under_a_shadow_limit_also_applies_to_the_next_enforced_limit() {
    let guard = RateGuard::in_memory();
    let outer = RateLimit::new(&guard, Limit::new("20/365d").key(key::global()).name("outer"));
    let app = App::new().app_data(guard.clone()).wrap(outer).service(with_penalty);
    let app = init_service(app).await;
    // From each of the two limits, each request takes 1 unit and the 4 units of the penalty.
    assert_eq!(statuses(&app, 1, "/penalty", 5).await, [200, 200, 200, 200, 429]);
    assert_eq!(report(&guard, "penalty", 4).await, [2, 2, 0]);
}

#[get("/both")]
#[rate_limit(rate = "2/365d", name = "candidate", shadow = true)]
#[rate_limit(rate = "3/365d", name = "enforced")]
async fn both() -> impl Responder {
    "ok"
}

#[get("/rolled")]
#[rate_limit(rate = "9/365d", name = "rolled", candidate = "4/365d", rollout = 100)]
async fn rolled() -> impl Responder {
    "ok"
}

#[get("/login/{status}")]
#[rate_limit(rate = "9/365d", name = "login", candidate = "2/365d", count = "status:401")]
async fn login(status: web::Path<u16>) -> HttpResponse {
    HttpResponse::build((*status).try_into().unwrap()).finish()
}

#[get("/policy")]
#[rate_limit(policy = "search", limiter = attribute_guard())]
async fn by_name() -> impl Responder {
    "ok"
}

#[actix_web::test]
async fn shadow_limit_rejects_no_request_and_writes_no_header() {
    let faults = FaultyStore::new(MemoryStore::new());
    let guard = RateGuard::builder().store(faults.clone()).build().unwrap();
    let ok = || web::get().to(async || "ok");
    let limit = RateLimit::new(&guard, Limit::new("2/365d").name("wrapped").shadow());
    let app = app!(guard, shadow, web::resource("/wrapped").wrap(limit).route(ok()));
    for (path, name) in [("/shadow", "shadow"), ("/wrapped", "wrapped")] {
        for _ in 0..5 {
            let response = get(&app, 1, path).await;
            assert_eq!((response.status, response.numbers()), (200, None));
            assert_eq!(response.header("retry-after"), None);
        }
        assert_eq!(report(&guard, name, 5).await, [2, 3, 0]);
    }
    faults.fail(StoreError::Unreachable(None));
    assert_eq!(statuses(&app, 1, "/shadow", 3).await, [200; 3]);
    assert_eq!(report(&guard, "shadow", 8).await, [2, 3, 3]);
}

#[actix_web::test]
async fn headers_report_only_the_enforced_limit() {
    let guard = RateGuard::in_memory();
    let app = app!(guard, both);
    for remaining in [2, 1, 0] {
        assert_eq!(get(&app, 1, "/both").await.numbers().unwrap()[..2], [3, remaining]);
    }
    assert_eq!(get(&app, 1, "/both").await.status, 429);
    assert_eq!(report(&guard, "candidate", 4).await, [2, 2, 0]);
}

#[actix_web::test]
async fn fully_rolled_out_candidate_is_enforced_and_reported() {
    let guard = RateGuard::in_memory();
    let app = app!(guard, rolled);
    assert_eq!(get(&app, 1, "/rolled").await.numbers().unwrap()[..2], [4, 3]);
    assert_eq!(statuses(&app, 1, "/rolled", 4).await, [200, 200, 200, 429]);
    assert_eq!(guard.shadow_report(), []);
}

#[actix_web::test]
async fn shadow_limit_ignores_uncounted_responses() {
    let guard = RateGuard::in_memory();
    let ok = || {
        web::get()
            .to(async || -> actix_web::Result<&str> { Err(actix_web::error::ErrorNotFound("no")) })
    };
    let limit =
        RateLimit::new(&guard, Limit::new("1/365d").name("alone").shadow().count(Count::Success));
    let app = app!(guard, login, web::resource("/alone").wrap(limit).route(ok()));
    assert_eq!(statuses(&app, 1, "/login/200", 5).await, [200; 5]);
    assert_eq!(statuses(&app, 1, "/login/401", 4).await, [401; 4]);
    // In the shadow report, 7 requests are allowed: 5 that were refunded and 2 that were counted. The other 2
    // requests would be denied.
    assert_eq!(report(&guard, "login", 9).await, [7, 2, 0]);
    assert_eq!(statuses(&app, 1, "/alone", 5).await, [404; 5]);
    assert_eq!(report(&guard, "alone", 5).await, [5, 0, 0]);
}

#[actix_web::test]
async fn shadow_policy_of_guard_or_file_rejects_no_request() {
    let from_code = Policy::new("search", "2/365d").unwrap().shadow();
    let from_code = RateGuard::builder().policy(from_code).for_attributes(false).build().unwrap();
    let folder = Folder::new();
    let text = "[policies.search]\nrate = \"2/365d\"\nshadow = true\non_error = \"closed\"\n";
    let from_file = RateGuard::builder()
        .policies_file(folder.file("rateguard.toml", text))
        .for_attributes(false)
        .build()
        .unwrap();
    for guard in [from_code, from_file] {
        let app = app!(guard, by_name);
        assert_eq!(statuses(&app, 1, "/policy", 5).await, [200; 5]);
        assert_eq!(report(&guard, "search", 5).await, [2, 3, 0]);
    }
}

#[test]
#[should_panic(expected = "but have different shadow modes: 3/365 days for 0 % of the keys at ")]
fn limits_of_one_name_must_share_their_candidate() {
    let guard = RateGuard::in_memory();
    let limit = || Limit::new("9/365d").name("app");
    let one = RateLimit::new(&guard, limit().candidate("3/365d"));
    let other = RateLimit::new(&guard, limit());
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
#[should_panic(expected = "the policy `search` already sets this; remove `candidate`")]
fn candidate_on_a_named_policy_panics() {
    let policy = Policy::new("search", "9/365d").unwrap();
    let guard = RateGuard::builder().policy(policy).for_attributes(false).build().unwrap();
    let _ = RateLimit::new(&guard, Limit::policy("search").candidate("3/365d"));
}
