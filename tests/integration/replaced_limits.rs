//! Tests handlers that replace the limits of middlewares, and exempt routes, on two servers with a common Redis.

use actix_http::Request;
use actix_rateguard::{Limit, RateGuard, RateLimit, rate_limit, test_util::Routes};
use actix_web::{
    App, Error, HttpRequest, HttpResponse, Responder,
    body::MessageBody,
    dev::{Service, ServiceRequest, ServiceResponse},
    get, guard,
    http::Method,
    middleware::{Next, from_fn},
    post,
    test::{TestRequest, call_service, init_service},
    web,
};

use crate::support::{
    app::attribute_guard,
    log_lines,
    redis_server::{RedisServer, script_calls},
    server::{Response, Server, get as fetch, post as send},
};

#[get("/health")]
#[rate_limit(exempt)]
async fn health() -> impl Responder {
    "healthy"
}

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

#[get("/items/{id}")]
async fn items() -> impl Responder {
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

/// Rejects requests without the header `X-Token`.
async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if request.headers().contains_key("X-Token") {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    Ok(request.into_response(HttpResponse::Unauthorized().finish()))
}

#[actix_web::test]
async fn middleware_of_an_app_learns_the_route_when_the_handler_runs() {
    let redis = RedisServer::start();
    let guard = redis.guard("replaced-app-level");
    let limit = Limit::new("2/hour").key("global").name("replaced-whole-app");
    let app = App::new()
        .service(web::scope("/inner").wrap(from_fn(authenticate)).service((health, items)))
        .service(health)
        .wrap(RateLimit::new(&guard, limit));
    let app = init_service(app).await;
    let status = async |method: Method, path: &str, token: bool| {
        let mut request = TestRequest::with_uri(path).method(method);
        if token {
            request = request.insert_header(("X-Token", "1"));
        }
        call_service(&app, request.to_request()).await.status().as_u16()
    };
    // The first request does not reach the handler, so it counts.
    assert_eq!(status(Method::GET, "/inner/health", false).await, 401);
    assert_eq!(status(Method::GET, "/inner/health", true).await, 200);
    // The limit is used up, but the route is known now, also for requests that do not reach the handler.
    assert_eq!(status(Method::GET, "/inner/health", false).await, 401);
    assert_eq!(status(Method::GET, "/inner/health", true).await, 200);
    assert_eq!(status(Method::GET, "/inner/items/1", true).await, 429);
    // The same handler at another route is unknown, and the middleware denies its first request.
    assert_eq!(status(Method::GET, "/health", false).await, 429);
    // A client cannot avoid the limit with an invented method or an unknown path.
    let invented = Method::from_bytes(b"INVENTED").unwrap();
    assert_eq!(status(invented, "/inner/health", true).await, 429);
    assert_eq!(status(Method::GET, "/inner/unknown", true).await, 429);
}

#[get("/explain")]
#[rate_limit(exempt)]
async fn explain(request: HttpRequest, guard: web::Data<RateGuard>) -> String {
    guard.explain_request(&request, &["replaced-explained"]).await.to_string()
}

#[actix_web::test]
async fn explanation_names_the_handler_as_the_reason() {
    let guard = RateGuard::in_memory();
    let limit = Limit::new("1/hour").key("global").name("replaced-explained");
    let app = App::new()
        .app_data(web::Data::new(guard.clone()))
        .service(explain)
        .wrap(RateLimit::new(&guard, limit));
    let app = init_service(app).await;
    let mut explanations = Vec::new();
    for _ in 0..2 {
        let response = call_service(&app, TestRequest::with_uri("/explain").to_request()).await;
        let body = actix_web::test::read_body(response).await;
        explanations.push(String::from_utf8(body.to_vec()).unwrap());
    }
    let reason = "the handler of the route replaces the limit";
    assert!(!explanations[0].contains(reason), "{explanations:?}");
    assert!(explanations[1].contains(reason), "{explanations:?}");
}

#[actix_web::test]
async fn units_of_a_failed_first_request_to_an_exempt_handler_are_refunded() {
    #[get("/failing")]
    #[rate_limit(exempt)]
    async fn failing() -> Result<String, Error> {
        Err(actix_web::error::ErrorBadGateway("failed"))
    }

    let guard = RateGuard::in_memory();
    let limit = Limit::new("1/hour").key("global").name("replaced-failing");
    let app = App::new().service((failing, items)).wrap(RateLimit::new(&guard, limit));
    let app = init_service(app).await;
    let status = async |path: &str| {
        call_service(&app, TestRequest::with_uri(path).to_request()).await.status().as_u16()
    };
    assert_eq!([status("/failing").await, status("/failing").await], [502, 502]);
    assert_eq!([status("/items/1").await, status("/items/2").await], [200, 429]);
}

/// Returns the statuses of GET requests to this path.
async fn get_all<B: MessageBody>(
    app: &impl Service<Request, Response = ServiceResponse<B>, Error = Error>,
    path: &str,
    times: usize,
) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..times {
        let request = TestRequest::with_uri(path).to_request();
        statuses.push(call_service(app, request).await.status().as_u16());
    }
    statuses
}

fn global(name: &'static str, rate: &'static str) -> Limit {
    Limit::new(rate).key("global").name(name)
}

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
