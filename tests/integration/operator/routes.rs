//! Tests the route probe, which lists the routes that have no limit.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use actix_rateguard::{Limit, RateGuard, RateLimit, rate_limit, test_util::Routes};
use actix_web::{
    App, HttpRequest, HttpResponse, delete, get, http::Method, test::init_service, web,
};

use crate::support::app::get as send_get;

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
async fn limited_for_post(runs: web::Data<AtomicU32>) -> HttpResponse {
    runs.fetch_add(1, Relaxed);
    HttpResponse::Ok().finish()
}

macro_rules! app {
    ($guard:expr, $runs:expr) => {{
        let around = RateLimit::new(
            &$guard,
            Limit::new("1/minute")
                .name("op-around")
                .skip(|request: &HttpRequest| request.path().ends_with("/health")),
        );
        init_service(
            App::new()
                .app_data($guard.clone())
                .app_data(web::Data::from(Arc::clone(&$runs)))
                .service((limited, unlimited, limited_for_post))
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

/// The text that `IntrospectionTree::report_as_json` of actix-web 4.18.1 returns for the application in this test.
const REPORT: &str = include_str!("routes.json");

#[actix_web::test]
async fn route_probe_lists_unlimited_routes_without_running_handlers() {
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
                "GET /spelt-wrong (route not found; check the spelling)",
            ]
        );
    }
    assert_eq!(runs.load(Relaxed), 0);
    assert_eq!(send_get(&app, 1, "/op-route/1").await.status, 200);
    assert_eq!(send_get(&app, 1, "/op-route/1").await.status, 429);
}

#[actix_web::test]
async fn route_probe_reads_the_introspection_report() {
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
    expected = "routes without a limit:\nDELETE /op-route/{id}\nGET /gone (excluded, but not in the list of routes)"
)]
async fn assert_limited_panics_for_an_unlimited_route() {
    let (guard, runs) = (RateGuard::in_memory(), Arc::new(AtomicU32::new(0)));
    let app = app!(guard, runs);
    let routes = Routes::of([(Method::GET, "/op-route/{id}"), (Method::DELETE, "/op-route/{id}")]);
    routes.except(Method::GET, "/gone").assert_limited(&app).await;
}
