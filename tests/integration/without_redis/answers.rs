//! What clients and handlers are told.

use std::time::Duration;

use actix_web::{App, HttpResponse, Responder, get, http::header, test::init_service, web};
use rateguard::{Decision, OnError, RateGuard, RateLimit, rate_limit, test_util};

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
async fn every_number_is_true_and_rounded_up() {
    let (guard, clock) = test_util::guard();
    let app = init_service(App::new().app_data(guard).service(limited)).await;
    let tell = async || {
        let answer = get(&app, 1, "/limited").await;
        let retry_after = answer.header("Retry-After").map(str::to_owned);
        (answer.status, answer.numbers().unwrap(), retry_after)
    };
    assert_eq!(tell().await, (200, [2, 1, 10], None));
    clock.advance(Duration::from_millis(3_500));
    assert_eq!(tell().await, (200, [2, 0, 7], None));
    clock.advance(Duration::from_millis(100));
    assert_eq!(tell().await, (429, [2, 0, 7], Some("7".to_owned())));
    clock.set(Duration::from_micros(9_999_999));
    assert_eq!(tell().await, (429, [2, 0, 1], Some("1".to_owned())));
    clock.set(Duration::from_micros(10_000_000));
    assert_eq!(tell().await, (200, [2, 0, 4], None));
}

#[actix_web::test]
async fn who_waits_as_long_as_it_is_told_gets_in() {
    let (guard, clock) = test_util::guard();
    let app = init_service(App::new().app_data(guard).service(limited)).await;
    for step in 0..50 {
        let answer = get(&app, 1, "/limited").await;
        match answer.header("Retry-After") {
            None => clock.advance(Duration::from_micros(step * 333_333)),
            Some(seconds) => {
                clock.advance(Duration::from_secs(seconds.parse().unwrap()));
                assert_eq!(get(&app, 1, "/limited").await.status, 200);
            }
        }
    }
}

#[actix_web::test]
async fn a_refusal_leaks_nothing_and_is_not_to_be_stored() {
    let app = init_service(App::new().app_data(RateGuard::in_memory()).service(limited)).await;
    statuses(&app, 1, "/limited", 2).await;
    let refused = get(&app, 1, "/limited").await;
    assert_eq!(refused.body, "Too many requests. Please retry later.\n");
    assert_eq!(refused.header("Cache-Control"), Some("no-store"));
    assert_eq!(refused.header("Content-Type"), Some("text/plain; charset=utf-8"));
    let mut names: Vec<_> = refused.headers.keys().map(header::HeaderName::as_str).collect();
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

#[get("/of-its-own")]
#[rate_limit(rate = "7/minute")]
async fn with_numbers_of_its_own() -> impl Responder {
    HttpResponse::Ok()
        .insert_header(("X-RateLimit-Limit", "1000"))
        .insert_header(("Cache-Control", "max-age=60"))
        .finish()
}

#[actix_web::test]
async fn numbers_of_an_upstream_are_replaced_and_its_other_headers_kept() {
    let app =
        init_service(App::new().app_data(RateGuard::in_memory()).service(with_numbers_of_its_own))
            .await;
    let answer = get(&app, 1, "/of-its-own").await;
    assert_eq!(answer.numbers().unwrap(), [7, 6, 60]);
    assert_eq!(answer.headers.get_all("X-RateLimit-Limit").count(), 1);
    assert_eq!(answer.header("Cache-Control"), Some("max-age=60"));
}

async fn tell(decision: Option<Decision>) -> String {
    match decision {
        Some(decision) => format!("{} of {}", decision.remaining(), decision.limit()),
        None => "unlimited".to_owned(),
    }
}

#[rate_limit(rate = "5/minute")]
async fn tell_limited(decision: Decision) -> String {
    format!("{} of {}", decision.remaining(), decision.limit())
}

#[actix_web::test]
async fn handlers_can_read_the_tightest_decision() {
    let guard = RateGuard::in_memory();
    let app = init_service(
        App::new()
            .app_data(guard.clone())
            .route("/attribute", web::get().to(tell_limited))
            .service(
                web::scope("/both")
                    .wrap(RateLimit::new(&guard, "3/minute"))
                    .route("/", web::get().to(tell_limited)),
            )
            .route("/unlimited", web::get().to(tell)),
    )
    .await;
    assert_eq!(get(&app, 1, "/attribute").await.body, "4 of 5");
    assert_eq!(get(&app, 1, "/both/").await.body, "2 of 3");
    assert_eq!(get(&app, 1, "/unlimited").await.body, "unlimited");
}

async fn must_have_a_decision(_: Decision) -> &'static str {
    "unreachable"
}

#[actix_web::test]
async fn a_handler_that_needs_a_decision_where_there_is_none_answers_500() {
    let app = init_service(App::new().route("/", web::get().to(must_have_a_decision))).await;
    assert_eq!(get(&app, 1, "/").await.status, 500);
}

#[get("/open")]
#[rate_limit(rate = "1/minute")]
async fn open() -> &'static str {
    "let through"
}

#[get("/closed")]
#[rate_limit(rate = "1/minute", on_error = "closed")]
async fn closed() -> &'static str {
    "must not be reached"
}

#[actix_web::test]
async fn without_an_answer_a_policy_fails_as_it_says_and_invents_no_numbers() {
    let away = url(free_port());
    let guard = RateGuard::redis(&*away).build().unwrap();
    let app = init_service(
        App::new()
            .app_data(guard.clone())
            .service(open)
            .service(closed)
            .route("/told", web::get().to(tell))
            .service(
                web::scope("/middleware")
                    .wrap(RateLimit::new(&guard, "1/minute").on_error(OnError::Closed)),
            ),
    )
    .await;
    for _ in 0..3 {
        let passed = get(&app, 1, "/open").await;
        assert_eq!((passed.status, &*passed.body, passed.numbers()), (200, "let through", None));
        for path in ["/closed", "/middleware"] {
            let refused = get(&app, 1, path).await;
            assert_eq!(refused.status, 503, "{path}");
            assert_eq!(refused.body, "Service unavailable. Please retry later.\n");
            assert_eq!(refused.header("Cache-Control"), Some("no-store"));
            assert_eq!(refused.header("Retry-After"), Some("1"));
            assert_eq!(refused.numbers(), None);
        }
    }
    assert_eq!(get(&app, 1, "/told").await.body, "unlimited");
    let failures = guard.failures();
    assert_eq!((failures.open, failures.closed), (3, 6));
}

#[actix_web::test]
async fn the_guard_says_how_policies_fail_that_do_not_say_it_themselves() {
    let away = url(free_port());
    let guard = RateGuard::redis(away).on_error(OnError::Closed).build().unwrap();
    let app = init_service(App::new().app_data(guard).service(open)).await;
    assert_eq!(get(&app, 1, "/open").await.status, 503);
}
