//! Tests the responses that an application creates itself for rejected requests.

use actix_rateguard::{
    AccessList, Key, Limit, MemoryStore, OnError, Plan, RateGuard, RateGuardBuilder, RateLimit,
    Rejection, StoreError, key, rate_limit,
    test_util::{FaultyStore, ManualClock},
};
use actix_web::{
    App, HttpRequest, HttpResponse, Responder,
    error::ErrorImATeapot,
    get,
    http::StatusCode,
    test::{TestRequest, init_service},
    web,
};

use crate::support::app::{Response, from_client, get, send, statuses};

fn builder() -> RateGuardBuilder {
    RateGuard::builder().memory_store(MemoryStore::new().clock(ManualClock::new()))
}

fn custom_response(request: &HttpRequest, rejection: &Rejection) -> Option<HttpResponse> {
    let response = HttpResponse::build(StatusCode::IM_A_TEAPOT)
        .insert_header(("Cache-Control", "private, no-store"))
        .insert_header(("Retry-After", "7"))
        .body(format!("{} {}", request.path(), rejection.decision()?.limit()));
    Some(response)
}

#[get("/limited")]
#[rate_limit(rate = "2/10s; 100/day")]
async fn limited() -> impl Responder {
    "ok"
}

#[get("/own")]
#[rate_limit(rate = "1/minute", on_reject = custom_response)]
async fn own() -> impl Responder {
    "ok"
}

#[get("/own-closure")]
#[rate_limit(rate = "1/minute", on_reject = |_, rejection| {
    let limit = rejection.decision()?.limit();
    Some(HttpResponse::build(StatusCode::IM_A_TEAPOT).body(limit.to_string()))
})]
async fn own_closure() -> impl Responder {
    "ok"
}

#[actix_web::test]
async fn custom_rejection_gets_rate_limit_headers_and_no_store() {
    let guard = builder()
        .on_reject(|_, rejection| {
            let limit = rejection.decision()?.limit();
            Some(HttpResponse::Conflict().body(format!("guard {limit}")))
        })
        .build()
        .unwrap();
    let limit = RateLimit::new(
        &guard,
        Limit::new("1/minute").name("middleware").on_reject(custom_response),
    );
    let two = RateLimit::new(
        &guard,
        Limit::new("5/minute")
            .name("loose")
            .on_reject(|_, _| panic!("the limit `loose` did not deny")),
    )
    .and(Limit::new("1/minute").name("tight").on_reject(custom_response));
    let ok = || web::get().to(async || "ok");
    let app = init_service(
        App::new()
            .app_data(guard.clone())
            .service((limited, own, own_closure))
            .service(web::resource("/middleware").wrap(limit).route(ok()))
            .service(web::resource("/two").wrap(two).route(ok())),
    )
    .await;
    for path in ["/limited", "/limited", "/own", "/own-closure", "/middleware", "/two"] {
        assert_eq!(get(&app, 1, path).await.status, 200);
    }
    for (path, status, body, cache, wait) in [
        ("/limited", 409, "guard 2", "no-store", "10"),
        ("/own", 418, "/own 1", "private, no-store", "60"),
        ("/own-closure", 418, "1", "no-store", "60"),
        ("/middleware", 418, "/middleware 1", "private, no-store", "60"),
        ("/two", 418, "/two 1", "private, no-store", "60"),
    ] {
        let response = get(&app, 1, path).await;
        assert_eq!((response.status, &*response.body), (status, body), "{path}");
        assert_eq!(response.header("cache-control"), Some(cache), "{path}");
        // The limit must replace the header `Retry-After` of the custom response with its own value.
        assert_eq!(response.header("retry-after"), Some(wait), "{path}");
        assert_eq!(response.numbers().map(|[_, remaining, _]| remaining), Some(0), "{path}");
    }
}

/// Responds with status 418. The body names the place of the function, the status and the reason.
fn describe(place: &str, rejection: &Rejection) -> Option<HttpResponse> {
    let reason = match rejection {
        Rejection::Denied(decision) if decision.banned_for().is_some() => "banned",
        Rejection::Denied(_) => "denied",
        Rejection::Forbidden(reason) | Rejection::Misconfigured(reason) => reason.as_str(),
        Rejection::Unavailable(_) => "unavailable",
        _ => unreachable!(),
    };
    let body = format!("{place}: {} {reason}", rejection.status().as_u16());
    Some(HttpResponse::ImATeapot().body(body))
}

fn by_attribute(_: &HttpRequest, rejection: &Rejection) -> Option<HttpResponse> {
    describe("attribute", rejection)
}

#[get("/attribute")]
#[rate_limit(
    rate = "1/minute",
    name = "custom-attribute",
    key = "header:X-User",
    missing_key = "deny",
    ban = "2/minute for 5m",
    on_reject = by_attribute
)]
async fn attribute() -> impl Responder {
    "ok"
}

#[get("/attribute-plan")]
#[rate_limit(plan = |_| Plan::named("absent"), on_reject = by_attribute)]
async fn attribute_plan() -> impl Responder {
    "ok"
}

#[get("/guard")]
#[rate_limit(
    rate = "1/minute",
    name = "custom-guard",
    key = "header:X-User",
    missing_key = "deny",
    ban = "2/minute for 5m"
)]
async fn by_guard() -> impl Responder {
    "ok"
}

#[get("/guard-plan")]
#[rate_limit(plan = |_| Plan::named("absent"))]
async fn by_guard_plan() -> impl Responder {
    "ok"
}

#[actix_web::test]
async fn every_rejection_calls_on_reject_with_its_reason() {
    let store = FaultyStore::new(MemoryStore::new().clock(ManualClock::new()));
    let list = AccessList::new()
        .deny_addresses(["192.0.2.99"])
        .unwrap()
        .deny_keys(key::header("X-User").key_of("foe"));
    let guard = RateGuard::builder()
        .store(store.clone())
        .on_error(OnError::Closed)
        .access(list)
        .on_reject(|_, rejection| describe("guard", rejection))
        .build()
        .unwrap();
    let limit = Limit::new("1/minute").key("header:X-User").missing_key("deny");
    let limit = limit.name("custom-middleware").ban("2/minute for 5m");
    let last = limit.on_reject(|_, rejection| describe("middleware", rejection));
    let middleware = RateLimit::new(&guard, Limit::new("99/minute").name("custom-first")).and(last);
    let plan = Limit::plan(|_: &HttpRequest| Plan::named("absent")).name("custom-plan");
    let plan = plan.on_reject(|_, rejection| describe("middleware", rejection));
    let plan = RateLimit::new(&guard, plan);
    let ok = || web::get().to(async || "ok");
    let app = init_service(
        App::new()
            .app_data(guard.clone())
            .service((attribute, attribute_plan, by_guard, by_guard_plan))
            .service(web::resource("/middleware").wrap(middleware).route(ok()))
            .service(web::resource("/middleware-plan").wrap(plan).route(ok())),
    )
    .await;
    let with_user = async |client, path: &str, user: &str| {
        let request = TestRequest::get().uri(path).insert_header(("X-User", user));
        send(&app, from_client(client, request)).await
    };
    let check = |response: Response, expected: &str, retry_after: Option<&str>| {
        assert_eq!((response.status, &*response.body), (418, expected));
        assert_eq!(response.header("cache-control"), Some("no-store"), "{expected}");
        assert_eq!(response.header("retry-after"), retry_after, "{expected}");
    };
    for place in ["attribute", "guard", "middleware"] {
        let path = &*format!("/{place}");
        assert_eq!(with_user(1, path, "ann").await.status, 200);
        check(with_user(1, path, "ann").await, &format!("{place}: 429 denied"), Some("60"));
        check(with_user(1, path, "ann").await, &format!("{place}: 429 banned"), Some("300"));
        check(with_user(1, path, "foe").await, &format!("{place}: 403 key_denied"), None);
        check(with_user(99, path, "ann").await, &format!("{place}: 403 address_denied"), None);
        check(get(&app, 1, path).await, &format!("{place}: 403 no_key"), None);
        let plan = get(&app, 1, &format!("{path}-plan")).await;
        check(plan, &format!("{place}: 500 no_plan"), None);
        store.fail(StoreError::Unreachable(None));
        check(with_user(1, path, "bob").await, &format!("{place}: 503 unavailable"), Some("1"));
        store.work();
    }
}

#[actix_web::test]
async fn none_selects_the_function_of_the_guard_and_then_the_default() {
    let guard = builder()
        .on_reject(|_, rejection| match rejection {
            Rejection::Forbidden(_) => Some(HttpResponse::NotFound().body("hidden")),
            _ => None,
        })
        .build()
        .unwrap();
    let limit = Limit::new("1/minute").key("header:X-User").missing_key("deny");
    let middleware = RateLimit::new(&guard, limit.on_reject(|_, _| None));
    let app = init_service(App::new().wrap(middleware)).await;
    assert_eq!(get(&app, 1, "/").await.body, "hidden");
    let request = || TestRequest::get().uri("/").insert_header(("X-User", "ann"));
    assert_eq!(send(&app, from_client(1, request())).await.status, 404);
    let denied = send(&app, from_client(1, request())).await;
    assert_eq!((denied.status, &*denied.body), (429, "Too many requests. Please retry later.\n"));
}

#[actix_web::test]
async fn error_of_a_key_function_is_not_a_rejection() {
    let guard = builder().on_reject(|_, _| panic!("RateGuard rejects nothing")).build().unwrap();
    let key = |_: &HttpRequest| Err::<Key, _>(ErrorImATeapot("no key"));
    let app = App::new().wrap(RateLimit::new(&guard, Limit::new("1/minute").key(key)));
    let app = init_service(app).await;
    assert_eq!(get(&app, 1, "/").await.body, "no key");
    assert_eq!(statuses(&app, 1, "/", 2).await, [418, 418]);
}
