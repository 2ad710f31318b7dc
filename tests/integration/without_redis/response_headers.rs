//! Tests the rate limit headers of responses, and the decision that handlers can read.

use std::time::Duration;

use actix_rateguard::{
    CheckResult, HeaderDialect, Limit, OnError, RateGuard, RateLimit, RejectionBody, rate_limit,
    test_util,
};
use actix_web::{App, HttpResponse, Responder, get, http::header, test::init_service, web};

use crate::support::{
    app::{get, statuses},
    redis_server::{free_port, url},
};

#[get("/limited")]
#[rate_limit(limit = 2, window = "10s")]
async fn limited() -> &'static str {
    "ok"
}

#[actix_web::test]
async fn headers_are_exact_and_rounded_up() {
    let (guard, clock) = test_util::guard();
    let app = init_service(App::new().app_data(guard).service(limited)).await;
    let numbers = async || {
        let response = get(&app, 1, "/limited").await;
        let retry_after = response.header("Retry-After").map(str::to_owned);
        (response.status, response.numbers().unwrap(), retry_after)
    };
    assert_eq!(numbers().await, (200, [2, 1, 10], None));
    clock.advance(Duration::from_millis(3_500));
    assert_eq!(numbers().await, (200, [2, 0, 7], None));
    clock.advance(Duration::from_millis(100));
    assert_eq!(numbers().await, (429, [2, 0, 7], Some("7".to_owned())));
    clock.set(Duration::from_micros(9_999_999));
    assert_eq!(numbers().await, (429, [2, 0, 1], Some("1".to_owned())));
    clock.set(Duration::from_micros(10_000_000));
    assert_eq!(numbers().await, (200, [2, 0, 4], None));
}

#[actix_web::test]
async fn client_that_waits_for_retry_after_is_admitted() {
    let (guard, clock) = test_util::guard();
    let app = init_service(App::new().app_data(guard).service(limited)).await;
    for step in 0..50 {
        let response = get(&app, 1, "/limited").await;
        match response.header("Retry-After") {
            None => clock.advance(Duration::from_micros(step * 333_333)),
            Some(seconds) => {
                clock.advance(Duration::from_secs(seconds.parse().unwrap()));
                assert_eq!(get(&app, 1, "/limited").await.status, 200);
            }
        }
    }
}

#[actix_web::test]
async fn rejection_has_no_store_and_only_expected_headers() {
    let app = init_service(App::new().app_data(RateGuard::in_memory()).service(limited)).await;
    statuses(&app, 1, "/limited", 2).await;
    let denied = get(&app, 1, "/limited").await;
    assert_eq!(denied.body, "Too many requests. Please retry later.\n");
    assert_eq!(denied.header("Cache-Control"), Some("no-store"));
    assert_eq!(denied.header("Content-Type"), Some("text/plain; charset=utf-8"));
    let mut names: Vec<_> = denied.headers.keys().map(header::HeaderName::as_str).collect();
    names.sort_unstable();
    let expected = [
        "cache-control",
        "content-type",
        "retry-after",
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
    ];
    assert_eq!(names, expected);
}

#[get("/upstream")]
#[rate_limit(rate = "7/minute")]
async fn with_upstream_headers() -> impl Responder {
    HttpResponse::Ok()
        .insert_header(("X-RateLimit-Limit", "1000"))
        .insert_header(("Cache-Control", "max-age=60"))
        .finish()
}

#[actix_web::test]
async fn upstream_rate_limit_headers_are_replaced() {
    let app =
        init_service(App::new().app_data(RateGuard::in_memory()).service(with_upstream_headers))
            .await;
    let response = get(&app, 1, "/upstream").await;
    assert_eq!(response.numbers().unwrap(), [7, 6, 60]);
    assert_eq!(response.headers.get_all("X-RateLimit-Limit").count(), 1);
    assert_eq!(response.header("Cache-Control"), Some("max-age=60"));
}

async fn describe_result(result: CheckResult) -> String {
    match result {
        CheckResult::Decided(decision) => {
            format!("{} of {}", decision.remaining(), decision.limit())
        }
        CheckResult::Undecided(reason) => format!("{reason:?}"),
        _ => unreachable!(),
    }
}

#[rate_limit(rate = "5/minute")]
async fn describe_decision(result: CheckResult) -> String {
    describe_result(result).await
}

#[rate_limit(rate = "5/minute", methods = "POST")]
async fn describe_exempt(result: CheckResult) -> String {
    describe_result(result).await
}

#[rate_limit(rate = "5/minute", shadow = true)]
async fn describe_shadow(result: CheckResult) -> String {
    describe_result(result).await
}

#[actix_web::test]
async fn handlers_can_read_the_tightest_decision() {
    let guard = RateGuard::in_memory();
    let app = init_service(
        App::new()
            .app_data(guard.clone())
            .route("/attribute", web::get().to(describe_decision))
            .service(
                web::scope("/both")
                    .wrap(RateLimit::new(&guard, "3/minute"))
                    .route("/", web::get().to(describe_decision)),
            )
            .route("/exempt", web::get().to(describe_exempt))
            .route("/shadow", web::get().to(describe_shadow))
            .route("/unlimited", web::get().to(describe_result)),
    )
    .await;
    assert_eq!(get(&app, 1, "/attribute").await.body, "4 of 5");
    assert_eq!(get(&app, 1, "/both/").await.body, "2 of 3");
    assert_eq!(get(&app, 1, "/exempt").await.body, "Exempt(Method)");
    assert_eq!(get(&app, 1, "/shadow").await.body, "Shadow");
    assert_eq!(get(&app, 1, "/unlimited").await.body, "NoLimit");
}

#[get("/open")]
#[rate_limit(rate = "1/minute")]
async fn open() -> &'static str {
    "admitted"
}

#[get("/decision")]
#[rate_limit(rate = "1/minute", name = "open-decision")]
async fn open_decision(result: CheckResult) -> String {
    describe_result(result).await
}

#[get("/closed")]
#[rate_limit(rate = "1/minute", on_error = "closed")]
async fn closed() -> &'static str {
    "must not be reached"
}

#[actix_web::test]
async fn unreachable_store_applies_on_error_without_headers() {
    let unreachable = url(free_port());
    let guard = RateGuard::redis(&*unreachable).prefix("test").build().unwrap();
    let app = init_service(
        App::new()
            .app_data(guard.clone())
            .service(open)
            .service(closed)
            .service(open_decision)
            .service(
                web::scope("/middleware")
                    .wrap(RateLimit::new(&guard, Limit::new("1/minute").on_error(OnError::Closed))),
            ),
    )
    .await;
    for _ in 0..3 {
        let admitted = get(&app, 1, "/open").await;
        assert_eq!((admitted.status, &*admitted.body, admitted.numbers()), (200, "admitted", None));
        for path in ["/closed", "/middleware"] {
            let rejected = get(&app, 1, path).await;
            assert_eq!(rejected.status, 503, "{path}");
            assert_eq!(rejected.body, "Service unavailable. Please retry later.\n");
            assert_eq!(rejected.header("Cache-Control"), Some("no-store"));
            assert_eq!(rejected.header("Retry-After"), Some("1"));
            assert_eq!(rejected.numbers(), None);
        }
    }
    assert_eq!(get(&app, 1, "/decision").await.body, "StoreUnavailable");
    let failures = guard.failures();
    assert_eq!((failures.open, failures.closed), (4, 6));
}

#[actix_web::test]
async fn on_error_of_the_guard_is_the_default_of_policies() {
    let unreachable = url(free_port());
    let guard =
        RateGuard::redis(unreachable).prefix("test").on_error(OnError::Closed).build().unwrap();
    let app = init_service(App::new().app_data(guard).service(open)).await;
    assert_eq!(get(&app, 1, "/open").await.status, 503);
}

#[actix_web::test]
async fn violated_policies_have_the_names_of_the_draft_field() {
    let guard = RateGuard::builder()
        .headers([HeaderDialect::Draft])
        .rejection_body(RejectionBody::ProblemDetails)
        .build()
        .unwrap();
    let limit = RateLimit::new(&guard, Limit::new("1/minute").name("größe_50%"));
    let app = init_service(App::new().wrap(limit)).await;
    get(&app, 1, "/").await;
    let denied = get(&app, 1, "/").await;
    let field = denied.header("RateLimit").unwrap();
    assert!(field.starts_with(r#""gr%C3%B6%C3%9Fe_50%25";r=0;"#), "{field}");
    let problem: serde_json::Value = serde_json::from_str(&denied.body).unwrap();
    assert_eq!(problem["violated-policies"], serde_json::json!(["gr%C3%B6%C3%9Fe_50%25"]));
}
