//! Tests async `skip` and `cost` functions, and those that fail, on two servers with a common Redis.

use actix_rateguard::{Limit, RateLimit, rate_limit};
use actix_web::{
    Error, HttpRequest, Responder,
    error::{ErrorBadRequest, ErrorServiceUnavailable},
    get, web,
};

use crate::support::{
    app::attribute_guard,
    redis_server::RedisServer,
    server::{Server, get as fetch},
};

/// Simulates a database query that finds out whether the tenant of a request has no limit.
async fn is_unlimited(request: &HttpRequest) -> Result<bool, Error> {
    actix_web::rt::task::yield_now().await;
    match request.query_string() {
        "tenant=partner" => Ok(true),
        "tenant=unknown" => Err(ErrorBadRequest("unknown tenant")),
        _ => Ok(false),
    }
}

/// Simulates a database query that returns the units of a request.
async fn units(request: &HttpRequest) -> Result<u32, Error> {
    actix_web::rt::task::yield_now().await;
    match request.query_string().strip_prefix("units=") {
        Some("") => Err(ErrorServiceUnavailable("no database")),
        units => Ok(units.and_then(|units| units.parse().ok()).unwrap_or(1)),
    }
}

fn units_or_error(request: &HttpRequest) -> Result<u32, Error> {
    request
        .query_string()
        .strip_prefix("units=")
        .map_or(Ok(1), |units| units.parse().map_err(|_| ErrorServiceUnavailable("not a number")))
}

#[get("/skip")]
#[rate_limit(rate = "1/hour", key = "global", skip = is_unlimited, name = "async-skip", limiter = attribute_guard())]
async fn skip() -> impl Responder {
    "ok"
}

#[get("/skip-closure")]
#[rate_limit(
    rate = "1/hour",
    key = "global",
    skip = async |request| is_unlimited(request).await,
    name = "async-skip-closure",
    limiter = attribute_guard()
)]
async fn skip_closure() -> impl Responder {
    "ok"
}

#[get("/cost")]
#[rate_limit(rate = "10/hour", key = "global", cost = units, name = "async-cost", limiter = attribute_guard())]
async fn cost() -> impl Responder {
    "ok"
}

#[get("/cost-closure")]
#[rate_limit(
    rate = "10/hour",
    key = "global",
    cost = async |request| units(request).await,
    name = "async-cost-closure",
    limiter = attribute_guard()
)]
async fn cost_closure() -> impl Responder {
    "ok"
}

#[get("/cost-or-error")]
#[rate_limit(rate = "10/hour", key = "global", cost = units_or_error, name = "cost-or-error", limiter = attribute_guard())]
async fn cost_or_error() -> impl Responder {
    "ok"
}

/// Starts a server whose attributes and middlewares have the same functions. The middlewares are below `/middleware`.
fn server(redis: &RedisServer) -> Server {
    let guard = redis.guard("async");
    Server::start(move |app| {
        crate::support::app::set_attribute_guard(&guard);
        let limit = |rate: &'static str, name| Limit::new(rate).key("global").name(name);
        let ok = || web::get().to(async || "ok");
        let limited = |path: &str, limit: Limit| {
            web::resource(path).wrap(RateLimit::new(&guard, limit)).route(ok())
        };
        app.service((skip, skip_closure, cost, cost_closure, cost_or_error)).service(
            web::scope("/middleware")
                .service(limited("/skip", limit("1/hour", "1").skip(is_unlimited)))
                .service(limited(
                    "/skip-closure",
                    limit("1/hour", "2")
                        .skip(async |request: &HttpRequest| is_unlimited(request).await),
                ))
                .service(limited("/cost", limit("10/hour", "3").cost(units)))
                .service(limited(
                    "/cost-closure",
                    limit("10/hour", "4").cost(async |request: &HttpRequest| units(request).await),
                ))
                .service(limited("/cost-or-error", limit("10/hour", "5").cost(units_or_error))),
        );
    })
}

#[test]
fn async_skip_exempts_requests_and_its_error_is_the_response() {
    let redis = RedisServer::start();
    let servers = [server(&redis), server(&redis)];
    for path in ["/skip", "/skip-closure", "/middleware/skip", "/middleware/skip-closure"] {
        let status = |server: usize, query: &str| {
            fetch(&servers[server].url(&format!("{path}{query}"))).status
        };
        assert_eq!([status(0, ""), status(1, "")], [200, 429], "{path}");
        assert_eq!(
            [status(0, "?tenant=partner"), status(1, "?tenant=partner")],
            [200; 2],
            "{path}"
        );
        assert_eq!(status(1, "?tenant=unknown"), 400, "{path}");
    }
}

#[test]
fn async_cost_is_taken_and_its_error_is_the_response_without_units() {
    let redis = RedisServer::start();
    let servers = [server(&redis), server(&redis)];
    for path in [
        "/cost",
        "/cost-closure",
        "/cost-or-error",
        "/middleware/cost",
        "/middleware/cost-closure",
        "/middleware/cost-or-error",
    ] {
        let response =
            |server: usize, query: &str| fetch(&servers[server].url(&format!("{path}{query}")));
        assert_eq!(response(0, "?units=4").number("x-ratelimit-remaining"), 6, "{path}");
        assert_eq!(response(1, "?units=").status, 503, "{path}");
        assert_eq!(response(1, "?units=7").status, 429, "{path}");
        assert_eq!(response(1, "?units=6").number("x-ratelimit-remaining"), 0, "{path}");
    }
}
