//! Tests plans whose text comes from a database, and the fallback quotas, on two servers with a common Redis.

use actix_rateguard::{Limit, Plan, RateGuard, RateLimit, error::LimitError, rate_limit};
use actix_web::{Error, HttpRequest, Responder, error::ErrorServiceUnavailable, get, web};

use crate::support::{
    TEST_TIMEOUT,
    app::attribute_guard,
    log_lines,
    redis_server::RedisServer,
    server::{Server, get as fetch},
};

/// Simulates a database query that returns the plan of an account as text.
async fn plan_in_database(request: &HttpRequest) -> Result<String, Error> {
    actix_web::rt::task::yield_now().await;
    Ok(match request.query_string() {
        "named" => "plan-text-pro".to_owned(),
        "quotas" => "7/hour; 70/day".to_owned(),
        "unlimited" => "unlimited".to_owned(),
        "invalid" => "10/fortnight".to_owned(),
        "unknown" => "plan-text-gold".to_owned(),
        _ => return Err(ErrorServiceUnavailable("a secret of the database")),
    })
}

#[get("/with-fallback")]
#[rate_limit(
    plan = plan_in_database,
    plan_fallback = "3/hour",
    key = |request: &HttpRequest| request.query_string().to_owned(),
    name = "plan-text-fallback",
    limiter = attribute_guard()
)]
async fn with_fallback() -> impl Responder {
    "ok"
}

#[get("/without-fallback")]
#[rate_limit(
    plan = plan_in_database,
    key = |request: &HttpRequest| request.query_string().to_owned(),
    name = "plan-text",
    limiter = attribute_guard()
)]
async fn without_fallback() -> impl Responder {
    "ok"
}

fn server(redis: &RedisServer) -> Server {
    let settings = redis.settings("plan-text").deadline(TEST_TIMEOUT);
    let guard = settings.plan("plan-text-pro", Plan::of("5/hour")).build().unwrap();
    Server::start(move |app| {
        crate::support::app::set_attribute_guard(&guard);
        let limit = |name: &'static str| {
            let limit = Limit::plan(plan_in_database).name(name);
            limit.key(|request: &HttpRequest| request.query_string().to_owned())
        };
        let limited = |path: &str, limit: Limit| {
            let resource = web::resource(path).wrap(RateLimit::new(&guard, limit));
            resource.route(web::get().to(async || "ok"))
        };
        app.service((with_fallback, without_fallback)).service(
            web::scope("/middleware")
                .service(limited("/with-fallback", limit("text-1").plan_fallback("3/hour")))
                .service(limited("/without-fallback", limit("text-2"))),
        );
    })
}

#[test]
fn plan_text_is_a_plan_name_or_quotas_on_every_server() {
    let redis = RedisServer::start();
    let servers = [server(&redis), server(&redis)];
    for path in [
        "/with-fallback",
        "/without-fallback",
        "/middleware/with-fallback",
        "/middleware/without-fallback",
    ] {
        let response = |server: usize, account: &str| {
            fetch(&servers[server].url(&format!("{path}?{account}")))
        };
        for (account, limit) in [("named", 5), ("quotas", 7)] {
            for used in 1..=limit {
                let response = response(used as usize % 2, account);
                assert_eq!(response.number("x-ratelimit-remaining"), limit - used, "{path}");
            }
            assert_eq!(response(0, account).status, 429, "{path}?{account}");
        }
        let unlimited = response(1, "unlimited");
        assert_eq!((unlimited.status, unlimited.header("x-ratelimit-limit")), (200, None));
    }
}

#[test]
fn plan_fallback_replaces_unknown_plans_and_failed_functions() {
    log_lines::collect();
    let redis = RedisServer::start();
    let servers = [server(&redis), server(&redis)];
    for prefix in ["", "/middleware"] {
        let response = |server: usize, path: &str, account: &str| {
            fetch(&servers[server].url(&format!("{prefix}/{path}?{account}")))
        };
        for account in ["invalid", "unknown", "failed"] {
            let statuses = [0, 1, 0, 1].map(|it| response(it, "with-fallback", account).status);
            assert_eq!(statuses, [200, 200, 200, 429], "{prefix} {account}");
        }
        let statuses = ["invalid", "unknown", "failed"]
            .map(|account| response(0, "without-fallback", account).status);
        assert_eq!(statuses, [500, 500, 503], "{prefix}");
    }
    let lines = log_lines::from_all_targets_with("plan-text");
    assert!(!lines.is_empty());
    assert!(lines.iter().all(|line| !line.contains("a secret of the database")), "{lines:?}");
}

#[test]
fn plan_fallback_is_rejected_without_a_plan_and_with_invalid_quotas() {
    let error = |limit: Limit| -> String {
        let error: LimitError = RateLimit::try_new(&RateGuard::in_memory(), limit).unwrap_err();
        error.to_string()
    };
    let without_plan = error(Limit::new("5/minute").plan_fallback("3/minute"));
    assert!(without_plan.contains("`plan_fallback` requires a plan"), "{without_plan}");
    let invalid = error(Limit::plan(plan_in_database).plan_fallback("3/fortnight"));
    assert!(invalid.contains("`plan_fallback`") && invalid.contains("fortnight"), "{invalid}");
    let built = RateGuard::builder().plan("nested", Plan::text("5/minute")).build();
    assert!(built.unwrap_err().to_string().contains("expected quotas or `Plan::Unlimited`"));
}
