//! Tests that a client cannot avoid a limit by means of exempt handlers, and that limits apply where nothing replaces them.

use actix_rateguard::{RateGuard, RateLimit, rate_limit, test_util::Routes};
use actix_web::{
    App, Error, HttpResponse, Responder, get, guard,
    http::Method,
    test::{TestRequest, call_service, init_service},
    web,
};

use super::{get_all, global, health};
use crate::support::app::attribute_guard;

#[get("/auth/{provider}")]
#[rate_limit(exempt)]
async fn provider() -> impl Responder {
    "provider"
}

#[get("/auth/login")]
async fn limited_login() -> impl Responder {
    "login"
}

#[actix_web::test]
async fn percent_encoding_does_not_avoid_a_limit() {
    let guard = RateGuard::in_memory();
    let limit = global("replaced-encoding", "2/hour");
    let app = App::new().service((limited_login, provider)).wrap(RateLimit::new(&guard, limit));
    let app = init_service(app).await;
    assert_eq!(get_all(&app, "/auth/github", 3).await, [200; 3]);
    assert_eq!(get_all(&app, "/auth/login", 3).await, [200, 200, 429]);
    assert_eq!(get_all(&app, "/auth/%6Cogin", 3).await, [429; 3]);

    let limit = global("replaced-encoding-routes", "2/hour").exempt_routes(["/auth/{provider}"]);
    let app = App::new().service((limited_login, provider)).wrap(RateLimit::new(&guard, limit));
    let app = init_service(app).await;
    assert_eq!(get_all(&app, "/auth/login", 3).await, [200, 200, 429]);
    assert_eq!(get_all(&app, "/auth/%6Cogin", 3).await, [429; 3]);
}

#[get("/{name}")]
async fn by_name() -> impl Responder {
    "name"
}

#[actix_web::test]
async fn client_cannot_exempt_another_route_by_percent_encoding() {
    let guard = RateGuard::in_memory();
    let limit = global("replaced-other-route", "2/hour");
    let app = App::new().service((health, by_name)).wrap(RateLimit::new(&guard, limit));
    let app = init_service(app).await;
    assert_eq!(get_all(&app, "/he%61lth", 1).await, [200]);
    assert_eq!(get_all(&app, "/orders", 3).await, [200, 200, 429]);
}

#[actix_web::test]
async fn route_behind_a_resource_with_a_guard_does_not_exempt_this_resource() {
    let guard = RateGuard::in_memory();
    let resource = || web::resource("/{name}").guard(guard::Header("X-Api", "1"));
    let limit = global("replaced-guarded", "2/hour");
    let app = App::new()
        .service(resource().route(web::get().to(async || "name")))
        .service(health)
        .wrap(RateLimit::new(&guard, limit));
    let app = init_service(app).await;
    assert_eq!(get_all(&app, "/health", 1).await, [200]);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let request = TestRequest::with_uri("/orders").insert_header(("X-Api", "1")).to_request();
        statuses.push(call_service(&app, request).await.status().as_u16());
    }
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
}

#[rate_limit(exempt)]
async fn exempt_resource() -> impl Responder {
    "exempt"
}

#[actix_web::test]
async fn exempt_resource_with_a_guard_exempts_at_most_one_request_to_a_later_resource() {
    let guard = RateGuard::in_memory();
    let resource = web::resource("/wild/{name}").guard(guard::Header("X-Api", "1"));
    let app = App::new()
        .service(resource.route(web::get().to(exempt_resource)))
        .route("/wild/login", web::get().to(async || "login"))
        .wrap(RateLimit::new(&guard, global("replaced-overlap", "2/hour")));
    let app = init_service(app).await;
    let request = TestRequest::with_uri("/wild/x").insert_header(("X-Api", "1")).to_request();
    assert_eq!(call_service(&app, request).await.status(), 200);
    let statuses = get_all(&app, "/wild/%6Cogin", 4).await;
    assert_eq!(statuses, [200, 200, 200, 429]);
}

#[get("/two")]
#[rate_limit(rate = "100/hour", key = "global", replaces = "replaced-one", name = "replaced-of-two", limiter = attribute_guard())]
async fn replaces_one_of_two() -> impl Responder {
    "ok"
}

#[actix_web::test]
async fn handler_replaces_one_of_two_limits_that_a_function_creates() {
    let guard = RateGuard::in_memory();
    crate::support::app::set_attribute_guard(&guard);
    let limited = |name, rate| RateLimit::new(&guard, global(name, rate));
    let app = App::new()
        .service(replaces_one_of_two)
        .wrap(limited("replaced-one", "100/hour"))
        .wrap(limited("replaced-two", "2/hour"));
    let app = init_service(app).await;
    assert_eq!(get_all(&app, "/two", 4).await, [200, 200, 429, 429]);
}

#[get("/posted")]
#[rate_limit(rate = "2/hour", key = "global", replaces = "replaced-posted", methods = "POST", name = "replaced-post", limiter = attribute_guard())]
async fn replaces_for_post() -> impl Responder {
    "ok"
}

#[get("/shadowed")]
#[rate_limit(rate = "2/hour", key = "global", replaces = "replaced-posted", shadow = true, name = "replaced-shadow", limiter = attribute_guard())]
async fn replaces_in_shadow() -> impl Responder {
    "ok"
}

#[actix_web::test]
async fn limit_that_does_not_apply_to_the_request_replaces_nothing() {
    for path in ["/posted", "/shadowed"] {
        let guard = RateGuard::in_memory();
        crate::support::app::set_attribute_guard(&guard);
        let app = App::new()
            .service((replaces_for_post, replaces_in_shadow))
            .wrap(RateLimit::new(&guard, global("replaced-posted", "3/hour")));
        let app = init_service(app).await;
        assert_eq!(get_all(&app, path, 5).await, [200, 200, 200, 429, 429], "{path}");
    }
}

#[get("/streamed")]
#[rate_limit(exempt)]
async fn streamed() -> impl Responder {
    let body = futures_util::stream::pending::<Result<web::Bytes, Error>>();
    HttpResponse::Ok().streaming(body)
}

#[actix_web::test]
async fn exempt_stream_holds_no_permit_of_a_replaced_limit() {
    let guard = RateGuard::in_memory();
    let limit = global("replaced-permit", "1000/hour").concurrent(1);
    let app = App::new().service((streamed, by_name)).wrap(RateLimit::new(&guard, limit));
    let app = init_service(app).await;
    let stream = call_service(&app, TestRequest::with_uri("/streamed").to_request()).await;
    assert_eq!(stream.status(), 200);
    assert_eq!(get_all(&app, "/x", 1).await, [200]);
    drop(stream);
}

#[actix_web::test]
async fn known_exempt_route_is_reported_as_a_route_without_a_limit() {
    let guard = RateGuard::in_memory();
    let limit = global("replaced-probe", "2/hour");
    let app = App::new().service((health, by_name)).wrap(RateLimit::new(&guard, limit));
    let app = init_service(app).await;
    get_all(&app, "/health", 1).await;
    let routes = Routes::of([(Method::GET, "/health"), (Method::GET, "/{name}")]);
    assert_eq!(routes.unlimited(&app).await, ["GET /health"]);
}
