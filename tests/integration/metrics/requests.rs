//! Tests the metrics of HTTP requests. The decision of each limit must be counted exactly once in all three cases: for
//! a limit in middleware, in an attribute, and in a named policy.

use actix_rateguard::{Limit, Policy, RateGuard, RateLimit, rate_limit};
use actix_web::{
    App, HttpResponse, Responder, get,
    http::StatusCode,
    test::{TestRequest, init_service},
    web,
};

use super::{Recorder, expected};
use crate::support::app::{from_client, send};

#[get("/one")]
#[rate_limit(rate = "2/hour", key = "ip", name = "one")]
async fn one() -> impl Responder {
    "ok"
}

#[get("/two")]
#[rate_limit(rate = "9/hour", key = "ip", name = "metrics-outer")]
#[rate_limit(rate = "1/day", key = "header:X-User", name = "metrics-inner")]
async fn two() -> impl Responder {
    "ok"
}

/// This limit counts a request only if the response has a certain status. Therefore the guard may refund the request
/// after the handler.
#[get("/login")]
#[rate_limit(rate = "2/hour", key = "ip", name = "metrics-login", count = "status:401")]
async fn login() -> impl Responder {
    HttpResponse::new(StatusCode::UNAUTHORIZED)
}

#[test]
fn middleware_and_attribute_decisions_are_labeled_by_name() {
    Recorder::record(async |recorder| {
        let search = Policy::new("search", "1/minute").unwrap();
        let guard = RateGuard::builder().policy(search).for_attributes(false).build().unwrap();
        let api = web::scope("/api").wrap(RateLimit::new(&guard, Limit::new("3/day").name("api")));
        let named = web::scope("/named").wrap(RateLimit::new(&guard, Limit::policy("search")));
        let [api, named] = [
            api.route("", web::get().to(HttpResponse::Ok)),
            named.route("", web::get().to(HttpResponse::Ok)),
        ];
        let app = App::new().app_data(guard.clone());
        let app = app.service(one).service(two).service(login);
        let app = init_service(app.service(api).service(named)).await;
        for (path, requests) in
            [("/one", 3), ("/two", 2), ("/login", 3), ("/named", 2), ("/api", 4), ("/none", 1)]
        {
            for _ in 0..requests {
                let request = TestRequest::get().uri(path).insert_header(("X-User", "ann"));
                send(&app, from_client(1, request)).await;
            }
        }
        let counted = expected([
            ("one|2/hour|allowed|store", 2),
            ("one|2/hour|denied|store", 1),
            ("metrics-inner|1/day|allowed|store", 1),
            ("metrics-inner|1/day|denied|store", 1),
            ("metrics-login|2/hour|allowed|store", 2),
            ("metrics-login|2/hour|denied|store", 1),
            ("search|1/minute|allowed|store", 1),
            ("search|1/minute|denied|store", 1),
            ("api|3/day|allowed|store", 3),
            ("api|3/day|denied|store", 1),
        ]);
        assert_eq!(recorder.decisions(), counted);
        assert!(!recorder.text().contains("ann"));
        assert!(!recorder.text().contains("192.0.2"));
    });
}
