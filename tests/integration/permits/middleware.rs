//! Tests the settings of the middleware and of the policies file for requests in progress.

use actix_rateguard::{Limit, RateGuard, RateLimit};
use actix_web::{App, HttpResponse, web};
use futures_util::FutureExt;

use crate::support::app::{from_client, send};

async fn hangs() -> HttpResponse {
    std::future::pending().await
}

async fn ends() -> &'static str {
    "done"
}

fn routes(config: &mut web::ServiceConfig) {
    config.route("/hangs", web::get().to(hangs)).route("/ends", web::get().to(ends));
}

#[actix_web::test]
async fn middleware_limits_requests_in_progress() {
    use actix_web::{dev::Service, test::TestRequest};

    for limit in [
        Limit::new("2 concurrent").name("permits-mw-1"),
        Limit::new("100/minute").concurrent(2).permit_lease("30s").name("permits-mw-2"),
    ] {
        let guard = RateGuard::in_memory();
        let app = App::new().configure(routes).wrap(RateLimit::new(&guard, limit));
        let app = actix_web::test::init_service(app).await;
        let request = |path| from_client(1, TestRequest::get().uri(path));
        let mut running: Vec<_> =
            [(); 2].map(|()| Box::pin(app.call(request("/hangs").to_request()))).into();
        for request in &mut running {
            assert!(request.now_or_never().is_none());
        }
        assert_eq!(send(&app, request("/ends")).await.status, 429);
        assert_eq!(send(&app, from_client(2, TestRequest::get().uri("/ends"))).await.status, 200);
        running.pop();
        for _ in 0..5 {
            assert_eq!(send(&app, request("/ends")).await.status, 200);
        }
    }
}

#[actix_web::test]
async fn invalid_settings_are_rejected_at_start() {
    let guard = RateGuard::in_memory();
    let error = |limit: Limit| RateLimit::try_new(&guard, limit).unwrap_err().to_string();
    for (limit, part) in [
        (Limit::new("5/minute").concurrent(0), "expected a limit"),
        (Limit::new("0 concurrent"), "expected a limit"),
        (
            Limit::new("5/minute").concurrent(1).permit_lease("999ms"),
            "expected a lease from 1 second",
        ),
        (Limit::new("5/minute").concurrent(1).permit_lease("soon"), "soon"),
        (Limit::new("5/minute").permit_lease("10s"), "requires `concurrent`"),
        (Limit::new("5 concurrent").concurrent(6), "at most one quota"),
        (Limit::new("5 concurrent").cost(2), "`cost` requires a rate"),
        (Limit::new("5 concurrent").count("failure"), "`count` requires a rate"),
        (Limit::new("5 concurrent").ban("3/hour for 1m"), "`ban` requires a rate"),
        (Limit::new("5 concurrent").shadow(), "`shadow` conflicts with"),
        (Limit::new("5/minute").concurrent(5).candidate("3/minute"), "`candidate` conflicts with"),
        (Limit::new("5/minute").candidate("3 concurrent"), "a candidate cannot limit"),
    ] {
        let message = error(limit);
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn policies_file_has_the_same_settings() {
    let folder = crate::support::folder::Folder::new();
    let path = folder.path().join("limits.toml");
    let load = |text: &str| {
        std::fs::write(&path, text).unwrap();
        RateGuard::builder().policies_file(&path).build()
    };
    let quotas = |text: &str| load(text).unwrap().policy("a").unwrap().quotas().to_string();
    for (text, expected) in [
        ("[policies.a]\nconcurrent = 5", "5 concurrent"),
        ("[policies.a]\nconcurrent = 5\npermit_lease = \"1m\"", "5 concurrent lease minute"),
        ("[policies.a]\nrate = \"9/second\"\nconcurrent = 5", "9/second; 5 concurrent"),
        ("[policies.a]\nrate = \"9/second; 5 concurrent\"", "9/second; 5 concurrent"),
    ] {
        assert_eq!(quotas(text), expected);
    }
    for (text, part) in [
        ("[policies.a]\nconcurrent = 0", "expected a limit"),
        (
            "[policies.a]\nconcurrent = 5\npermit_lease = \"500ms\"",
            "expected a lease from 1 second",
        ),
        ("[policies.a]\nrate = \"5/second\"\npermit_lease = \"10s\"", "requires `concurrent`"),
        ("[policies.a]\nconcurrent = 5\ncost = 2", "`cost` requires a rate"),
        ("[policies.a]\nconcurrent = 5\nban = \"3/hour for 1m\"", "`ban` requires a rate"),
        ("[policies.a]\nconcurrent = 5\nshadow = true", "`shadow` conflicts"),
        ("[policies.a]\nrate = \"5/second\"\ncandidate = \"5 concurrent\"", "a candidate cannot"),
    ] {
        let error = load(text).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
