//! Tests limits of paths that do not exist.

use actix_rateguard::{Limit, RateGuard, RateLimit, rate_limit};
use actix_web::{
    App, HttpResponse, get,
    test::{TestRequest, init_service},
    web,
};

use crate::support::app::{from_client, get, send, statuses};

#[get("/item")]
#[rate_limit(rate = "2/minute", key = "ip")]
async fn item() -> &'static str {
    "an item"
}

#[rate_limit(rate = "2/minute", key = "ip")]
async fn not_found() -> HttpResponse {
    HttpResponse::NotFound().body("nothing here")
}

#[actix_web::test]
async fn unknown_paths_count_for_the_application_but_not_for_an_attribute() {
    let guard = RateGuard::in_memory();
    let limit = RateLimit::new(&guard, "4/minute");
    let app = App::new().app_data(guard.clone()).service(item).wrap(limit);
    let app = init_service(app).await;
    assert_eq!(statuses(&app, 1, "/nowhere", 3).await, [404, 404, 404]);
    assert_eq!(get(&app, 1, "/item").await.numbers().unwrap()[..2], [4, 0]);
    assert_eq!(get(&app, 1, "/nowhere").await.status, 429);

    let app = init_service(App::new().app_data(guard).service(item)).await;
    let unknown = get(&app, 2, "/nowhere").await;
    assert_eq!((unknown.status, unknown.numbers()), (404, None));
    // The route exists, but not for this method.
    let request = TestRequest::post().uri("/item");
    let other_method = send(&app, from_client(2, request)).await;
    assert_eq!((other_method.status, other_method.numbers()), (404, None));
    assert_eq!(statuses(&app, 2, "/item", 3).await, [200, 200, 429]);
}

#[actix_web::test]
async fn scope_counts_unknown_paths_below_its_prefix() {
    let guard = RateGuard::in_memory();
    let limit = |name| RateLimit::new(&guard, Limit::new("1/minute").name(name));
    let scope = web::scope("/api").wrap(limit("route-scope")).service(item);
    let resource =
        web::resource("/page").wrap(limit("route-page")).route(web::get().to(async || "ok"));
    let app = init_service(App::new().service(scope).service(resource)).await;
    assert_eq!(statuses(&app, 1, "/api/nowhere", 2).await, [404, 429]);
    assert_eq!(statuses(&app, 1, "/nowhere", 2).await, [404, 404]);
    // A resource also counts methods for which it has no route.
    let request = || from_client(2, TestRequest::post().uri("/page"));
    assert_eq!(
        [send(&app, request()).await.status, send(&app, request()).await.status],
        [405, 429]
    );
}

#[actix_web::test]
async fn attribute_of_the_default_service_limits_unknown_paths() {
    let app = App::new().app_data(RateGuard::in_memory()).service(item);
    let app = init_service(app.default_service(web::to(not_found))).await;
    assert_eq!([get(&app, 1, "/one").await.status, get(&app, 1, "/two").await.status], [404, 404]);
    assert_eq!(get(&app, 1, "/three").await.status, 429);
    // `item` is no route for this method.
    let request = TestRequest::post().uri("/item");
    assert_eq!(send(&app, from_client(1, request)).await.status, 429);
    assert_eq!(get(&app, 1, "/item").await.status, 200);
}

#[actix_web::test]
async fn limit_that_counts_only_404_stops_a_scanner_on_all_paths() {
    let guard = RateGuard::in_memory();
    let limit = Limit::new("3/minute").count("status:404").name("route-scanners");
    let app = App::new().app_data(guard.clone()).route("/", web::get().to(async || "ok"));
    let app = init_service(app.wrap(RateLimit::new(&guard, limit))).await;
    assert_eq!(statuses(&app, 1, "/", 10).await, [200; 10]);
    assert_eq!(statuses(&app, 1, "/wp-admin", 4).await, [404, 404, 404, 429]);
    assert_eq!([get(&app, 1, "/").await.status, get(&app, 2, "/").await.status], [429, 200]);
}
