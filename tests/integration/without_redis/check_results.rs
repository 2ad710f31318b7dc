//! Tests the result of the limits that a handler or a middleware can read.

use actix_rateguard::{
    AccessList, Caller, CheckResult, Limit, Penalty, Plan, RateGuard, RateLimit, UndecidedReason,
    explain::Exemption, rate_limit,
};
use actix_web::{
    App, HttpRequest,
    dev::Service,
    get,
    http::header::{HeaderName, HeaderValue},
    test::init_service,
    web,
};

use crate::support::{app::get, log_lines};

fn describe(result: &CheckResult) -> String {
    match (result.remaining(), result) {
        (Some(remaining), _) => format!("{remaining} left"),
        (None, CheckResult::Undecided(reason)) => format!("{reason:?}"),
        _ => unreachable!(),
    }
}

async fn result(result: CheckResult) -> String {
    describe(&result)
}

#[get("/attribute")]
#[rate_limit(plan = |_| Plan::Unlimited)]
async fn unlimited(result: CheckResult) -> String {
    describe(&result)
}

#[actix_web::test]
async fn exempt_request_reports_its_exemption() {
    let limits = [
        ("method", Limit::new("5/minute").methods("POST"), Exemption::Method),
        ("skip", Limit::new("5/minute").skip(|_: &HttpRequest| true), Exemption::Skip),
        (
            "key",
            Limit::new("5/minute").key(|_: &HttpRequest| Caller::Exempt),
            Exemption::KeyFunction,
        ),
        (
            "missing",
            Limit::new("5/minute").key("header:X-User").missing_key("skip"),
            Exemption::NoKey,
        ),
        ("plan", Limit::plan(|_: &HttpRequest| Plan::Unlimited), Exemption::Plan),
    ];
    let list = AccessList::new().allow_addresses(["192.0.2.7"]).unwrap();
    let guard = RateGuard::builder().access(list).build().unwrap();
    for (path, limit, exemption) in limits {
        let middleware = RateLimit::new(&guard, limit.name(path));
        let app = App::new().wrap(middleware).default_service(web::to(result));
        let app = init_service(app).await;
        let expected = format!("{:?}", UndecidedReason::Exempt(exemption));
        assert_eq!(get(&app, 1, "/").await.body, expected);
        assert_eq!(get(&app, 7, "/").await.body, "Exempt(AddressAllowed)");
    }
    let app = init_service(App::new().app_data(guard).service(unlimited)).await;
    assert_eq!(get(&app, 1, "/attribute").await.body, "Exempt(Plan)");
}

#[actix_web::test]
async fn result_of_several_limits_is_a_decision_or_the_last_reason() {
    let exempt = || Limit::new("5/minute").skip(|_: &HttpRequest| true);
    let exempt_by_plan = || Limit::plan(|_: &HttpRequest| Plan::Unlimited);
    let shadow = || Limit::new("5/minute").shadow();
    let enforced = || Limit::new("5/minute");
    for (outer, inner, expected) in [
        (exempt(), shadow(), "Shadow"),
        (shadow(), exempt(), "Shadow"),
        (exempt(), exempt_by_plan(), "Exempt(Skip)"),
        (enforced(), exempt(), "4 left"),
        (shadow(), enforced(), "4 left"),
    ] {
        let guard = RateGuard::in_memory();
        let app = App::new()
            .wrap(RateLimit::new(&guard, inner.name("inner")))
            .wrap(RateLimit::new(&guard, outer.name("outer")))
            .default_service(web::to(result));
        assert_eq!(get(&init_service(app).await, 1, "/").await.body, expected);
    }
}

#[actix_web::test]
async fn middleware_reads_the_result_of_a_rejected_request() {
    let list = AccessList::new().deny_addresses(["192.0.2.99"]).unwrap();
    let guard = RateGuard::builder().access(list).build().unwrap();
    let app = App::new()
        .wrap(RateLimit::new(&guard, "1/minute"))
        .wrap_fn(|request, service| {
            let response = service.call(request);
            async {
                let mut response = response.await?;
                let text = describe(&CheckResult::of(response.request()));
                let value = HeaderValue::try_from(text).unwrap();
                response.headers_mut().insert(HeaderName::from_static("x-result"), value);
                Ok(response)
            }
        })
        .default_service(web::to(result));
    let app = init_service(app).await;
    for (client, status, expected) in
        [(1, 200, "0 left"), (1, 429, "0 left"), (99, 403, "Rejected")]
    {
        let response = get(&app, client, "/").await;
        assert_eq!((response.status, response.header("x-result")), (status, Some(expected)));
    }
}

#[actix_web::test]
async fn penalty_without_a_limit_is_warned_about_once_for_each_route() {
    log_lines::collect();
    let guard = RateGuard::in_memory();
    let add = async |penalty: Penalty| {
        penalty.add(2);
        "ok"
    };
    let limited = web::resource("/penalty/limited")
        .wrap(RateLimit::new(&guard, Limit::new("9/minute").name("penalty-with-limit")))
        .route(web::get().to(add));
    let unused = async |_: Penalty| "ok";
    let app = App::new()
        .route("/penalty/{id}/lost", web::get().to(add))
        .route("/penalty/unused", web::get().to(unused))
        .service(limited)
        // This middleware runs before the limit, whose limit charges the penalty.
        .wrap_fn(|mut request, service| {
            let penalty = request.extract::<Penalty>();
            let response = service.call(request);
            async move {
                drop(penalty.await);
                response.await
            }
        });
    let app = init_service(app).await;
    for path in ["/penalty/1/lost", "/penalty/2/lost", "/penalty/unused", "/penalty/limited"] {
        assert_eq!(get(&app, 1, path).await.status, 200, "{path}");
    }
    let lines = log_lines::with("a penalty of ");
    assert_eq!(lines.len(), 1, "{lines:?}");
    let route = "WARN a penalty of 2 units had no effect, because no limit has checked the request. Add `#[rate_limit]` to the handler of the route `GET /penalty/{id}/lost`";
    assert!(lines[0].starts_with(route), "{lines:?}");
}
