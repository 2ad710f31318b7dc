//! Tests two servers with a common Redis, and the settings of exempt handlers.

use actix_rateguard::{Limit, RateGuard, RateLimit, rate_limit};
use actix_web::{Responder, get, post, web};

use super::{health, items};
use crate::support::{
    app::attribute_guard,
    log_lines,
    redis_server::{RedisServer, script_calls},
    server::{Response, Server, get as fetch, post as send},
};

#[rate_limit(exempt = "replaced-second")]
#[get("/partly")]
async fn exempt_from_one_limit() -> impl Responder {
    "ok"
}

#[get("/login")]
#[rate_limit(
    rate = "5/hour",
    key = "global",
    replaces = "replaced-app",
    name = "replaced-login",
    limiter = attribute_guard()
)]
async fn login() -> impl Responder {
    "ok"
}

#[rate_limit(exempt)]
#[rate_limit(rate = "4/hour", key = "global", name = "replaced-own", limiter = attribute_guard())]
#[get("/own")]
async fn exempt_with_own_limit() -> impl Responder {
    "ok"
}

#[get("/mixed")]
#[rate_limit(exempt)]
async fn read_mixed() -> impl Responder {
    "ok"
}

#[post("/mixed")]
async fn write_mixed() -> impl Responder {
    "ok"
}

#[get("/listed/{id}")]
async fn listed_items() -> impl Responder {
    "ok"
}

#[get("/misspelled")]
#[rate_limit(rate = "9/hour", key = "global", replaces = "replaced-ap", name = "replaced-misspelled", limiter = attribute_guard())]
async fn misspelled() -> impl Responder {
    "ok"
}

fn server(redis: &RedisServer) -> Server {
    let guard = redis.guard("replaced");
    Server::start(move |app| {
        crate::support::app::set_attribute_guard(&guard);
        let whole_app = Limit::new("3/hour").key("global").exempt_routes(["/api/listed/{id}"]);
        let second = Limit::new("100/hour").key("global").name("replaced-second");
        let limits = RateLimit::new(&guard, whole_app.name("replaced-app")).and(second);
        let inner = web::scope("/api").service((
            health,
            exempt_from_one_limit,
            login,
            exempt_with_own_limit,
            items,
            read_mixed,
            write_mixed,
            listed_items,
            misspelled,
        ));
        app.service(web::scope("").wrap(limits).service(inner));
    })
}

fn statuses(responses: &[Response]) -> Vec<u16> {
    responses.iter().map(|it| it.status).collect()
}

fn responses(servers: &[Server; 2], path: &str, count: usize) -> Vec<Response> {
    (0..count).map(|it| fetch(&servers[it % 2].url(path))).collect()
}

#[test]
fn exempt_handler_is_never_limited_and_takes_no_units() {
    let redis = RedisServer::start();
    let servers = [server(&redis), server(&redis)];
    for response in responses(&servers, "/api/health", 8) {
        assert_eq!((response.status, response.body.as_str()), (200, "healthy"));
        assert_eq!(response.header("x-ratelimit-limit"), None);
    }
    // All units of both limits are left.
    let others = responses(&servers, "/api/items/1", 4);
    assert_eq!(others[0].number("x-ratelimit-remaining"), 2);
    assert_eq!(statuses(&others), [200, 200, 200, 429]);
    // The exempt handler runs also if the client has used up the limit, and the store is not asked any more.
    let calls = script_calls(&redis);
    assert_eq!(statuses(&responses(&servers, "/api/health", 4)), [200; 4]);
    assert_eq!(script_calls(&redis), calls);
}

#[test]
fn handler_replaces_only_the_named_limit() {
    let redis = RedisServer::start();
    let servers = [server(&redis), server(&redis)];
    let logins = responses(&servers, "/api/login", 6);
    assert_eq!(statuses(&logins), [200, 200, 200, 200, 200, 429]);
    assert_eq!(logins[0].number("x-ratelimit-limit"), 5);
    // The second limit of the middleware still counts the logins, and the first one has counted none of them.
    let partly = responses(&servers, "/api/partly", 4);
    assert_eq!(statuses(&partly), [200, 200, 200, 429]);
    assert_eq!(partly[0].number("x-ratelimit-limit"), 3);
}

#[test]
fn own_limits_of_an_exempt_handler_apply() {
    let redis = RedisServer::start();
    let servers = [server(&redis), server(&redis)];
    let own = responses(&servers, "/api/own", 5);
    assert_eq!(statuses(&own), [200, 200, 200, 200, 429]);
    assert!(own.iter().all(|it| it.number("x-ratelimit-limit") == 4));
}

#[test]
fn exemption_is_for_the_method_of_the_handler() {
    let redis = RedisServer::start();
    let servers = [server(&redis), server(&redis)];
    assert_eq!(statuses(&responses(&servers, "/api/mixed", 4)), [200; 4]);
    let writes: Vec<u16> = (0..4)
        .map(|it| send(&servers[it % 2].url("/api/mixed"), "text/plain", "").status)
        .collect();
    assert_eq!(writes, [200, 200, 200, 429]);
}

#[test]
fn exempt_routes_are_exempt_from_the_first_request_on() {
    let redis = RedisServer::start();
    let servers = [server(&redis), server(&redis)];
    assert_eq!(statuses(&responses(&servers, "/api/items/1", 4)), [200, 200, 200, 429]);
    let listed = responses(&servers, "/api/listed/5", 5);
    assert_eq!(statuses(&listed), [200; 5]);
    assert!(listed.iter().all(|it| it.number("x-ratelimit-limit") == 100));
}

#[test]
fn replaced_limit_that_no_middleware_has_is_logged_and_nothing_is_replaced() {
    log_lines::collect();
    let redis = RedisServer::start();
    let servers = [server(&redis), server(&redis)];
    assert_eq!(statuses(&responses(&servers, "/api/misspelled", 4)), [200, 200, 200, 429]);
    let lines = log_lines::with("a handler replaces the limit `replaced-ap`");
    assert!(lines[0].contains("did you mean `replaced-app`?"), "{lines:?}");
}

#[test]
fn relative_exempt_route_is_rejected() {
    let limit = Limit::new("5/minute").exempt_routes(["/health", "metrics"]);
    let error = RateLimit::try_new(&RateGuard::in_memory(), limit).unwrap_err().to_string();
    assert!(error.contains("begins with `/`, found `metrics`"), "{error}");
}

#[test]
fn exemption_of_one_server_does_not_exempt_the_route_of_another() {
    fn start(guard: RateGuard, is_exempt: bool) -> Server {
        Server::start(move |app| {
            let limit = Limit::new("2/hour").key("global").name("replaced-two-servers");
            let scope = web::scope("").wrap(RateLimit::new(&guard, limit));
            app.service(match is_exempt {
                true => scope.service(health),
                false => scope.route("/health", web::get().to(async || "limited")),
            });
        })
    }
    let guard = RateGuard::in_memory();
    let servers = [start(guard.clone(), true), start(guard, false)];
    let statuses = |server: usize| [0; 3].map(|_| fetch(&servers[server].url("/health")).status);
    assert_eq!(statuses(0), [200; 3]);
    assert_eq!(statuses(1), [200, 200, 429]);
}
