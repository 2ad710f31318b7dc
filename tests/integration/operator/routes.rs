//! Whether every route has a limit.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use actix_web::{
    App, HttpRequest, HttpResponse, delete, get, http::Method, test::init_service, web,
};
use rateguard::{RateGuard, RateLimit, rate_limit, test_util::Routes};

use crate::support::app::get as ask;

#[get("/op-route/{id}")]
#[rate_limit(rate = "1/minute", name = "op-route")]
async fn limited(runs: web::Data<AtomicU32>) -> HttpResponse {
    runs.fetch_add(1, Relaxed);
    HttpResponse::Ok().finish()
}

#[delete("/op-route/{id}")]
async fn unlimited() -> HttpResponse {
    HttpResponse::Ok().finish()
}

#[get("/op-post-only")]
#[rate_limit(rate = "1/minute", name = "op-post-only", methods = "POST")]
async fn for_other_methods(runs: web::Data<AtomicU32>) -> HttpResponse {
    runs.fetch_add(1, Relaxed);
    HttpResponse::Ok().finish()
}

macro_rules! app {
    ($guard:expr, $runs:expr) => {{
        let around = RateLimit::new(&$guard, "1/minute")
            .name("op-around")
            .skip(|request: &HttpRequest| request.path().ends_with("/health"));
        init_service(
            App::new()
                .app_data($guard.clone())
                .app_data(web::Data::from(Arc::clone(&$runs)))
                .service((limited, unlimited, for_other_methods))
                .service(
                    web::scope("/around")
                        .wrap(around)
                        .route("/{year:\\d{4}}", web::get().to(limited_by_scope))
                        .route("/health", web::get().to(HttpResponse::Ok)),
                ),
        )
        .await
    }};
}

async fn limited_by_scope(runs: web::Data<AtomicU32>) -> HttpResponse {
    runs.fetch_add(1, Relaxed);
    HttpResponse::Ok().finish()
}

/// What `IntrospectionTree::report_as_json` of actix-web 4.18.1 writes of such an application.
const REPORT: &str = include_str!("routes.json");

#[actix_web::test]
async fn each_route_without_a_limit_is_named_and_nothing_is_counted_or_run() {
    let (guard, runs) = (RateGuard::in_memory(), Arc::new(AtomicU32::new(0)));
    let app = app!(guard, runs);
    let routes = Routes::of([
        (Method::GET, "/op-route/{id}"),
        (Method::DELETE, "/op-route/{id}"),
        (Method::GET, "/op-post-only"),
        (Method::GET, "/around/health"),
        (Method::GET, "/spelt-wrong"),
    ]);
    for _ in 0..3 {
        assert_eq!(
            routes.unlimited(&app).await,
            [
                "DELETE /op-route/{id}",
                "GET /op-post-only",
                "GET /around/health",
                "GET /spelt-wrong (not found: is it spelt so?)",
            ]
        );
    }
    assert_eq!(runs.load(Relaxed), 0);
    assert_eq!(ask(&app, 1, "/op-route/1").await.status, 200);
    assert_eq!(ask(&app, 1, "/op-route/1").await.status, 429);
}

#[actix_web::test]
async fn the_routes_that_actix_web_reports_are_found_by_themselves() {
    let (guard, runs) = (RateGuard::in_memory(), Arc::new(AtomicU32::new(0)));
    let app = app!(guard, runs);
    let routes = Routes::of_report(REPORT).unwrap();
    let mut found = routes.unlimited(&app).await;
    found.sort();
    assert_eq!(found, ["DELETE /op-route/{id}", "GET /around/health", "GET /op-post-only"]);
    routes
        .except(Method::DELETE, "/op-route/{id}")
        .except(Method::GET, "/around/health")
        .except(Method::GET, "/op-post-only")
        .assert_limited(&app)
        .await;
    for nonsense in ["", "{}", "[{}]", "[{\"full_path\": 1}]"] {
        assert!(Routes::of_report(nonsense).is_err(), "{nonsense}");
    }
}

#[actix_web::test]
#[should_panic(
    expected = "routes without a limit:\nDELETE /op-route/{id}\nGET /gone (excepted, and not among the routes)"
)]
async fn a_route_that_was_forgotten_fails_the_test() {
    let (guard, runs) = (RateGuard::in_memory(), Arc::new(AtomicU32::new(0)));
    let app = app!(guard, runs);
    let routes = Routes::of([(Method::GET, "/op-route/{id}"), (Method::DELETE, "/op-route/{id}")]);
    routes.except(Method::GET, "/gone").assert_limited(&app).await;
}
