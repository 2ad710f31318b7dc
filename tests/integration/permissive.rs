//! Tests permissive limits, which pass denied requests to the handler, on two servers with a common Redis.

use actix_rateguard::{
    CheckResult, Limit, OnError, Penalty, Policy, RateGuard, RateLimit, rate_limit,
};
use actix_web::{HttpResponse, Responder, get, web};

use crate::support::{
    app::attribute_guard,
    redis_server::{RedisServer, script_calls},
    server::{Response, Server, get as fetch},
};

async fn quality(result: CheckResult) -> impl Responder {
    if result.is_denied() { "cached" } else { "fresh" }
}

#[get("/search")]
#[rate_limit(rate = "2/hour", key = "global", permissive = true, name = "permissive-search", limiter = attribute_guard())]
async fn search(result: CheckResult) -> impl Responder {
    quality(result).await
}

#[get("/both")]
#[rate_limit(rate = "2/hour", key = "global", permissive = true, name = "permissive-both", limiter = attribute_guard())]
#[rate_limit(rate = "3/hour", key = "global", name = "permissive-hard", limiter = attribute_guard())]
async fn both(result: CheckResult) -> impl Responder {
    quality(result).await
}

#[get("/too-many")]
#[rate_limit(rate = "1/hour", key = "global", permissive = true, name = "permissive-own", limiter = attribute_guard())]
async fn own_rejection(result: CheckResult) -> impl Responder {
    if result.is_denied() {
        return HttpResponse::TooManyRequests().body("own");
    }
    HttpResponse::Ok().body("fresh")
}

#[get("/penalty")]
#[rate_limit(rate = "9/hour", key = "global", permissive = true, name = "permissive-penalty", limiter = attribute_guard())]
#[rate_limit(rate = "9/hour", key = "global", name = "permissive-hard-penalty", limiter = attribute_guard())]
async fn with_penalty(penalty: Penalty) -> impl Responder {
    penalty.add(3);
    "ok"
}

fn server(redis: &RedisServer) -> Server {
    let guard = redis.guard("permissive");
    Server::start(move |app| {
        crate::support::app::set_attribute_guard(&guard);
        let permissive = |rate: &'static str, name| {
            Limit::new(rate).key("global").permissive().on_error(OnError::Closed).name(name)
        };
        let hard = |rate: &'static str, name| Limit::new(rate).key("global").name(name);
        let resource = |path: &str, rate: RateLimit| {
            web::resource(path).wrap(rate).route(web::get().to(quality))
        };
        app.service((search, both, own_rejection, with_penalty)).service(
            web::scope("/middleware")
                .service(resource("/search", RateLimit::new(&guard, permissive("2/hour", "1"))))
                .service(resource(
                    "/both",
                    RateLimit::new(&guard, permissive("2/hour", "2")).and(hard("3/hour", "3")),
                )),
        );
    })
}

/// Returns the status and the body of each response.
fn bodies(responses: &[Response]) -> Vec<(u16, &str)> {
    responses.iter().map(|it| (it.status, it.body.as_str())).collect()
}

#[test]
fn denied_request_reaches_the_handler_with_its_decision() {
    let redis = RedisServer::start();
    let servers = [server(&redis), server(&redis)];
    for path in ["/search", "/middleware/search"] {
        let responses = [0, 1, 0, 1].map(|it| fetch(&servers[it].url(path)));
        let expected = [(200, "fresh"), (200, "fresh"), (200, "cached"), (200, "cached")];
        assert_eq!(bodies(&responses), expected, "{path}");
        let remaining = responses.each_ref().map(|it| it.number("x-ratelimit-remaining"));
        assert_eq!(remaining, [1, 0, 0, 0], "{path}");
        // The handler has completed the requests, so the client need not repeat them.
        assert!(responses.iter().all(|it| it.header("retry-after").is_none()), "{path}");
    }
}

#[test]
fn rejection_by_another_limit_takes_no_units_of_a_permissive_limit() {
    let redis = RedisServer::start();
    let servers = [server(&redis), server(&redis)];
    for path in ["/both", "/middleware/both"] {
        let responses = [0, 1, 0, 1, 0].map(|it| fetch(&servers[it].url(path)));
        let statuses = responses.each_ref().map(|it| it.status);
        assert_eq!(statuses, [200, 200, 200, 429, 429], "{path}");
        assert_eq!(responses[1].body, "fresh", "{path}");
        assert_eq!(responses[2].body, "cached", "{path}");
        assert!(responses[3].header("retry-after").is_some(), "{path}");
    }
    // A rejection needs one script call, and an admission one for each of the two decisions.
    let calls = script_calls(&redis);
    fetch(&servers[1].url("/both"));
    assert_eq!(script_calls(&redis) - calls, 1);
}

#[test]
fn response_of_a_handler_that_rejects_by_itself_has_a_retry_after() {
    let redis = RedisServer::start();
    let servers = [server(&redis), server(&redis)];
    let responses = [0, 1].map(|it| fetch(&servers[it].url("/too-many")));
    assert_eq!(bodies(&responses), [(200, "fresh"), (429, "own")]);
    assert!(responses[1].number("retry-after") > 0);
}

#[test]
fn penalty_is_charged_to_permissive_and_to_enforced_limits() {
    let redis = RedisServer::start();
    let servers = [server(&redis), server(&redis)];
    let statuses: Vec<u16> =
        (0..4).map(|it| fetch(&servers[it % 2].url("/penalty")).status).collect();
    // Each request takes four units of nine, and the last penalty exceeds the limit.
    assert_eq!(statuses, [200, 200, 200, 429]);
}

#[test]
fn permissive_limit_never_rejects_when_the_store_is_down() {
    let mut redis = RedisServer::start();
    let server = server(&redis);
    redis.kill();
    let response = fetch(&server.url("/middleware/search"));
    assert_eq!((response.status, response.body.as_str()), (200, "fresh"));
}

#[actix_web::test]
async fn permissive_concurrency_limit_tells_the_handler_and_frees_its_permits() {
    use actix_web::{App, test};

    let guard = RateGuard::in_memory();
    let limit = || Limit::new("1 concurrent").key("global").permissive().name("permissive-permits");
    let hard = Limit::new("2 concurrent").key("global").name("hard-permits");
    let app = App::new().service(
        web::resource("/")
            .wrap(RateLimit::new(&guard, limit()).and(hard))
            .route(web::get().to(quality)),
    );
    let app = test::init_service(app).await;
    let call = async || test::call_service(&app, test::TestRequest::default().to_request()).await;
    let first = call().await;
    let second = call().await;
    let third = call().await;
    assert_eq!(
        [first.status(), second.status(), third.status()].map(|it| it.as_u16()),
        [200, 200, 429]
    );
    assert_eq!(test::read_body(second).await, "cached");
    assert_eq!(test::read_body(first).await, "fresh");
    assert_eq!(test::read_body(call().await).await, "fresh");
}

async fn failing(result: CheckResult) -> impl Responder {
    let is_banned = result.decision().is_some_and(|decision| decision.banned_for().is_some());
    HttpResponse::Unauthorized().body(if is_banned { "banned" } else { "failed" })
}

#[actix_web::test]
async fn failures_beyond_a_permissive_limit_are_offences() {
    use actix_web::{App, test};

    let guard = RateGuard::in_memory();
    let limit = Limit::new("2/hour").key("global").count("failure").ban("6/hour for 1h");
    let limit = limit.permissive().name("permissive-failures");
    let app = App::new().route("/", web::get().to(failing)).wrap(RateLimit::new(&guard, limit));
    let app = test::init_service(app).await;
    let mut bodies = Vec::new();
    for _ in 0..7 {
        let response = test::call_service(&app, test::TestRequest::default().to_request()).await;
        bodies.push(String::from_utf8(test::read_body(response).await.to_vec()).unwrap());
    }
    assert_eq!(bodies[5..], ["failed", "banned"], "{bodies:?}");
}

#[actix_web::test]
async fn denial_of_nested_limits_is_one_offence() {
    use actix_web::{App, test};

    for is_inner_enforced in [false, true] {
        let policy = Policy::new("permissive-nested", "1/hour").unwrap();
        let policy = policy.ban("4/hour for 2h").unwrap();
        let guard = RateGuard::builder().policy(policy).for_attributes(false).build().unwrap();
        let limit = || Limit::policy("permissive-nested").key("global").permissive();
        let inner = match is_inner_enforced {
            true => Limit::policy("permissive-nested").key("global"),
            false => limit(),
        };
        let handler = async || HttpResponse::NotFound().finish();
        let inner = web::scope("/s")
            .route("/x", web::get().to(handler))
            .wrap(RateLimit::new(&guard, inner));
        let app = App::new().service(inner).wrap(RateLimit::new(&guard, limit()));
        let app = test::init_service(app).await;
        let mut hours = Vec::new();
        for _ in 0..5 {
            let request = test::TestRequest::with_uri("/s/x").to_request();
            let response = test::call_service(&app, request).await;
            let wait = response.headers().get("retry-after").map(|it| it.to_str().unwrap());
            hours.push(wait.map_or(0, |it| it.parse::<u32>().unwrap() / 3_000));
        }
        // The first request is admitted. The fifth one is the fourth offence, which starts the ban.
        assert_eq!(hours, [0, 1, 1, 1, 2], "{is_inner_enforced}");
    }
}
