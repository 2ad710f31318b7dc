//! Tests limits that the header fields of responses do not report, on two servers with a common Redis.

use actix_rateguard::{Limit, Policy, RateLimit, headers::HeaderDialect, rate_limit};
use actix_web::{HttpResponse, Responder, get, web};

use crate::support::{
    TEST_TIMEOUT,
    app::attribute_guard,
    redis_server::RedisServer,
    server::{Response, Server, get as fetch},
};

#[get("/only-hidden")]
#[rate_limit(rate = "2/hour", key = "global", headers = false, name = "hidden-only", limiter = attribute_guard())]
async fn only_hidden() -> impl Responder {
    "ok"
}

#[get("/hidden-first")]
#[rate_limit(rate = "2/hour", key = "global", headers = false, name = "hidden-tight", limiter = attribute_guard())]
#[rate_limit(rate = "5/hour", key = "global", name = "reported-wide", limiter = attribute_guard())]
async fn hidden_first() -> impl Responder {
    "ok"
}

#[get("/refund")]
#[rate_limit(rate = "2/hour", key = "global", headers = false, count = "failure", name = "hidden-refund", limiter = attribute_guard())]
#[rate_limit(rate = "5/hour", key = "global", name = "reported-refund", limiter = attribute_guard())]
async fn refunded() -> impl Responder {
    HttpResponse::Ok().body("ok")
}

fn server(redis: &RedisServer) -> Server {
    let guard = redis
        .settings("hidden")
        .deadline(TEST_TIMEOUT)
        .headers([HeaderDialect::XRateLimit, HeaderDialect::Draft])
        .policy(Policy::new("hidden-shared", "2/hour").unwrap())
        .build()
        .unwrap();
    Server::start(move |app| {
        crate::support::app::set_attribute_guard(&guard);
        let hidden = |name| Limit::new("2/hour").key("global").headers(false).name(name);
        let reported = |name| Limit::new("5/hour").key("global").name(name);
        let ok = || web::get().to(async || "ok");
        let resource = |path: &str, rate: RateLimit| web::resource(path).wrap(rate).route(ok());
        let shared = Limit::policy("hidden-shared").key("global").headers(false);
        app.service((only_hidden, hidden_first, refunded)).service(
            web::scope("/middleware")
                .service(resource("/only-hidden", RateLimit::new(&guard, hidden("1"))))
                .service(resource(
                    "/hidden-first",
                    RateLimit::new(&guard, hidden("2")).and(reported("3")),
                ))
                .service(resource("/shared", RateLimit::new(&guard, shared)))
                .service(resource("/refund", {
                    let hidden = hidden("4").count("failure");
                    RateLimit::new(&guard, hidden).and(reported("5"))
                })),
        );
    })
}

/// Returns all header fields of the response that report a limit.
fn reported(response: &Response) -> Vec<&str> {
    let names = [
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
        "ratelimit",
        "ratelimit-policy",
        "retry-after",
    ];
    names.into_iter().filter(|name| response.header(name).is_some()).collect()
}

#[test]
fn hidden_limit_denies_without_header_fields() {
    let redis = RedisServer::start();
    let servers = [server(&redis), server(&redis)];
    for path in ["/only-hidden", "/middleware/only-hidden", "/middleware/shared"] {
        let responses = [0, 1, 0].map(|it| fetch(&servers[it].url(path)));
        assert_eq!(responses.each_ref().map(|it| it.status), [200, 200, 429], "{path}");
        assert!(responses.iter().all(|it| reported(it).is_empty()), "{path}");
    }
}

#[test]
fn header_fields_report_only_the_other_limits() {
    let redis = RedisServer::start();
    let servers = [server(&redis), server(&redis)];
    for path in ["/hidden-first", "/middleware/hidden-first"] {
        let responses = [0, 1, 0].map(|it| fetch(&servers[it].url(path)));
        assert_eq!(responses.each_ref().map(|it| it.status), [200, 200, 429], "{path}");
        let remaining = responses.each_ref().map(|it| it.number("x-ratelimit-remaining"));
        // The denied request takes no units of the reported limit.
        assert_eq!(remaining, [4, 3, 3], "{path}");
        assert!(responses.iter().all(|it| it.number("x-ratelimit-limit") == 5), "{path}");
        // Only the hidden limit knows the wait.
        assert_eq!(responses[2].header("retry-after"), None, "{path}");
        let policies = responses[2].header("ratelimit-policy").unwrap();
        assert!(!policies.contains("hidden"), "{policies}");
    }
    for path in ["/refund", "/middleware/refund"] {
        let remaining: Vec<u64> = (0..5)
            .map(|it| fetch(&servers[it % 2].url(path)).number("x-ratelimit-remaining"))
            .collect();
        assert_eq!(remaining, [4, 3, 2, 1, 0], "the hidden limit counts no success: {path}");
    }
}
