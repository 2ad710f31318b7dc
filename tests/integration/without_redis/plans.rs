//! Tests plans, which are quotas that depend on the request, and named policies.

use std::sync::LazyLock;

use actix_rateguard::{
    Limit, OnError, Plan, Policy, Quota, Quotas, RateGuard, RateLimit, key, rate_limit,
};
use actix_web::{
    App, Error, HttpRequest, Responder,
    error::ErrorBadGateway,
    get,
    test::{TestRequest, init_service},
    web,
};

use crate::support::{
    app::{Response, attribute_guard, from_client, send, set_attribute_guard, statuses},
    log_lines,
};

static FREE: LazyLock<Plan> = LazyLock::new(|| Plan::of("2/minute; 100/day"));
static PRO: LazyLock<Plan> = LazyLock::new(|| Plan::of("4/minute"));

fn plan_of(request: &HttpRequest) -> Plan {
    match request.headers().get("X-Plan").map(|it| it.as_bytes()) {
        Some(b"pro") => PRO.clone(),
        Some(b"enterprise") => Plan::Unlimited,
        _ => FREE.clone(),
    }
}

/// Simulates a database query that returns the plan of a request.
async fn plan_from_database(request: &HttpRequest) -> Result<Plan, Error> {
    actix_web::rt::task::yield_now().await;
    if request.headers().contains_key("X-Database-Down") {
        return Err(ErrorBadGateway("the database is down"));
    }
    Ok(plan_of(request))
}

fn quota_of(request: &HttpRequest) -> Option<Quota> {
    match plan_of(request) {
        Plan::Limited(quotas) => Some(quotas.as_slice()[0]),
        _ => None,
    }
}

macro_rules! handlers {
    ($($name:ident $path:literal ($($argument:tt)*);)*) => {$(
        #[get($path)]
        #[rate_limit($($argument)*)]
        async fn $name() -> impl Responder {
            "ok"
        }
    )*};
}

handlers! {
    by_function "/function" (plan = plan_of, key = "header:X-User");
    by_async "/async" (plan = plan_from_database, key = "header:X-User");
    by_closure "/closure" (plan = |req: &HttpRequest| plan_of(req), key = "header:X-User");
    by_async_closure "/async-closure" (plan = async |req: &HttpRequest| plan_from_database(req).await, key = "header:X-User");
    by_quota "/quota" (plan = quota_of, key = "header:X-User");
    by_policy "/policy" (policy = "search", limiter = attribute_guard(), key = "header:X-User");
    by_same_policy "/same-policy" (policy = "search", limiter = attribute_guard(), key = "header:X-User");
}

/// Creates an application. Its guard has the policy that the attributes use.
macro_rules! app {
    () => {{
        let guard = guard();
        set_attribute_guard(&guard);
        let named = |limit: Limit, name| limit.key(key::header("X-User")).name(name);
        let ok = || web::get().to(async || "ok");
        init_service(
            App::new()
                .app_data(guard.clone())
                .service((by_function, by_async, by_closure, by_async_closure, by_quota))
                .service((by_policy, by_same_policy))
                .service(
                    web::scope("/middleware")
                        .service(
                            web::resource("/function")
                                .wrap(RateLimit::new(&guard, named(Limit::plan(plan_of), "1")))
                                .route(ok()),
                        )
                        .service(
                            web::resource("/async")
                                .wrap(RateLimit::new(
                                    &guard,
                                    named(Limit::plan(plan_from_database), "2"),
                                ))
                                .route(ok()),
                        )
                        .service(
                            web::resource("/second")
                                .wrap(
                                    RateLimit::new(&guard, Limit::new("50/minute").name("3"))
                                        .and(named(Limit::plan(plan_of), "4")),
                                )
                                .route(ok()),
                        )
                        .service(
                            web::resource("/policy")
                                .wrap(RateLimit::new(
                                    &guard,
                                    Limit::policy("search").key(key::header("X-User")),
                                ))
                                .route(ok()),
                        ),
                ),
        )
        .await
    }};
}

fn guard() -> RateGuard {
    let search = Policy::new("search", "3/minute").unwrap().on_error(OnError::Closed);
    RateGuard::builder().policy(search).build().unwrap()
}

fn request_of(path: &str, user: &'static str, plan: &'static str) -> TestRequest {
    let request = TestRequest::get().uri(path);
    from_client(1, request.insert_header(("X-User", user)).insert_header(("X-Plan", plan)))
}

#[actix_web::test]
async fn plan_sets_the_limit_of_each_client() {
    let app = app!();
    for path in [
        "/function",
        "/async",
        "/closure",
        "/async-closure",
        "/quota",
        "/middleware/function",
        "/middleware/async",
        "/middleware/second",
    ] {
        for (user, plan, expected) in [
            ("ann", "free", [200, 200, 429, 429, 429]),
            ("bob", "pro", [200, 200, 200, 200, 429]),
            ("eve", "enterprise", [200, 200, 200, 200, 200]),
        ] {
            let mut responses: Vec<Response> = Vec::new();
            for _ in 0..5 {
                responses.push(send(&app, request_of(path, user, plan)).await);
            }
            let statuses: Vec<_> = responses.iter().map(|it| it.status).collect();
            assert_eq!(statuses, expected, "{path} {plan}");
            let limit = responses[0].numbers().map(|[limit, ..]| limit);
            let outer_limit = if path == "/middleware/second" { Some(50) } else { None };
            let expected = [("free", Some(2)), ("pro", Some(4)), ("enterprise", outer_limit)];
            assert_eq!(
                Some(limit),
                expected.iter().find(|it| it.0 == plan).map(|it| it.1),
                "{path}"
            );
        }
    }
}

#[actix_web::test]
async fn counts_continue_when_the_plan_changes() {
    let app = app!();
    for path in ["/function", "/middleware/function"] {
        let status = async |plan| send(&app, request_of(path, "ann", plan)).await.status;
        assert_eq!(
            [status("free").await, status("free").await, status("free").await],
            [200, 200, 429]
        );
        assert_eq!(
            [status("pro").await, status("pro").await, status("pro").await],
            [200, 200, 429]
        );
        assert_eq!([status("free").await, status("enterprise").await], [429, 200]);
    }
}

#[actix_web::test]
async fn failed_plan_lookup_is_returned_as_the_response() {
    let app = app!();
    for path in ["/async", "/async-closure", "/middleware/async"] {
        let request = request_of(path, "ann", "free").insert_header(("X-Database-Down", "1"));
        let response = send(&app, request).await;
        assert_eq!((response.status, &*response.body), (502, "the database is down"), "{path}");
        assert_eq!(send(&app, request_of(path, "ann", "free")).await.numbers(), Some([2, 1, 60]));
    }
}

#[actix_web::test]
async fn limits_of_one_policy_share_counts() {
    let app = app!();
    let paths = ["/policy", "/same-policy", "/middleware/policy", "/policy"];
    let mut statuses = Vec::new();
    for path in paths {
        statuses.push(send(&app, request_of(path, "ann", "free")).await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 429]);
    assert_eq!(send(&app, request_of("/policy", "bob", "free")).await.status, 200);
}

#[test]
fn two_policies_of_one_name_fail_the_build() {
    let twice = || Policy::new("search", "3/minute").unwrap();
    let error = RateGuard::builder().policy(twice()).policy(twice()).build().unwrap_err();
    assert_eq!(error.to_string(), "two policies are named `search`; rename one of them");
}

#[test]
#[should_panic(expected = "the guard has no policy named `searhc`")]
fn middleware_with_an_unregistered_policy_panics() {
    let _ = RateLimit::new(&guard(), Limit::policy("searhc"));
}

#[actix_web::test]
#[should_panic(
    expected = "two limits are named `search` but have different quotas: 3/minute in the policies of the guard, and 5/minute at "
)]
async fn limit_with_the_name_of_a_policy_panics() {
    let limit = RateLimit::new(&guard(), Limit::new("5/minute").name("search"));
    let _ = init_service(App::new().wrap(limit)).await;
}

#[actix_web::test]
async fn attribute_with_an_unregistered_policy_returns_500() {
    crate::support::log_lines::collect();
    set_attribute_guard(&RateGuard::in_memory());
    let app = init_service(App::new().service(by_policy)).await;
    assert_eq!(statuses(&app, 1, "/policy", 2).await, [500, 500]);
    let lines = crate::support::log_lines::with(
        "names the policy `search`, but the guard has no policies. ",
    );
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[test]
#[should_panic(expected = "expected a rate such as")]
fn invalid_plan_panics() {
    let _ = Plan::of("ten a minute");
}

#[test]
fn plan_is_created_from_quotas() {
    let quotas: Quotas = "2/minute; 100/day".parse().unwrap();
    assert_eq!(Plan::from(quotas.clone()), Plan::of(quotas));
    assert_eq!(Plan::from(None::<Quota>), Plan::Unlimited);
}

#[get("/no-plans")]
#[rate_limit(plan = |_: &HttpRequest| Plan::named("fre"), key = "ip", name = "no-plans")]
async fn no_plans() -> impl Responder {
    "must not be reached"
}

#[actix_web::test]
async fn plan_of_a_guard_without_plans_is_logged_with_the_limit() {
    log_lines::collect();
    let app = init_service(App::new().app_data(RateGuard::in_memory()).service(no_plans)).await;
    assert_eq!(statuses(&app, 1, "/no-plans", 1).await, [500]);
    let lines = log_lines::with("of limit `no-plans` at tests/integration/without_redis/plans.rs:");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains(" chose the plan `fre`, but the guard has no plans. "), "{lines:?}");
}
