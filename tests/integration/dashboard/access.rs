//! Tests that only authorized requests get the page and its files.

use actix_rateguard::{RateGuard, operator};
use actix_web::{
    App, HttpRequest,
    http::header::{AUTHORIZATION, ContentType},
    test::{TestRequest, init_service},
    web,
};

use crate::support::app::send;

const PATHS: [&str; 4] = ["dashboard", "dashboard/", "dashboard/main.js", "dashboard/missing"];

fn get(path: &str) -> TestRequest {
    TestRequest::get().uri(&format!("/operator/{path}"))
}

#[actix_web::test]
async fn dashboard_without_authorization_is_forbidden() {
    let guard = RateGuard::in_memory();
    for endpoints in
        [operator::endpoints(&guard), operator::endpoints(&guard).allow_if(|_: &HttpRequest| false)]
    {
        let app =
            init_service(App::new().service(web::scope("/operator").service(endpoints))).await;
        for path in PATHS {
            let response = send(&app, get(path)).await;
            assert_eq!(response.status, 403, "{path}");
            assert_eq!(response.header("content-type"), Some("application/problem+json"), "{path}");
            assert!(!response.body.contains("<html"), "{path}");
        }
    }
}

#[actix_web::test]
async fn dashboard_calls_allow_if_for_every_file() {
    let guard = RateGuard::in_memory();
    let endpoints = operator::endpoints(&guard)
        .allow_if(|request: &HttpRequest| request.headers().contains_key("x-operator"));
    let app = init_service(App::new().service(web::scope("/operator").service(endpoints))).await;
    for path in PATHS {
        assert_eq!(send(&app, get(path)).await.status, 403, "{path}");
        let expected = if path.ends_with("missing") { 404 } else { 200 };
        let response = send(&app, get(path).insert_header(("x-operator", "yes"))).await;
        assert_eq!(response.status, expected, "{path}");
    }
}

#[actix_web::test]
async fn browser_is_asked_for_the_token() {
    let guard = RateGuard::in_memory();
    let endpoints = operator::endpoints(&guard).allow_token("a-long-secret");
    let app = init_service(App::new().service(web::scope("/operator").service(endpoints))).await;
    for path in PATHS {
        let response = send(&app, get(path)).await;
        assert_eq!(response.status, 401, "{path}");
        let challenge = response.header("www-authenticate");
        assert_eq!(challenge, Some(r#"Basic realm="RateGuard operator""#), "{path}");
    }
    // "operator:a-long-secret" and "operator:a-long-secreT" in Base64.
    for (credentials, status) in
        [("b3BlcmF0b3I6YS1sb25nLXNlY3JldA==", 200), ("b3BlcmF0b3I6YS1sb25nLXNlY3JlVA==", 401)]
    {
        let basic = format!("Basic {credentials}");
        let response = send(&app, get("dashboard").insert_header((AUTHORIZATION, basic))).await;
        assert_eq!(response.status, status);
    }
}

#[actix_web::test]
async fn dashboard_accepts_only_get_and_head() {
    let guard = RateGuard::in_memory();
    let app = init_service(App::new().service(super::endpoints(&guard))).await;
    for path in ["dashboard", "dashboard/", "dashboard/style.css"] {
        let uri = format!("/operator/{path}");
        for request in [TestRequest::post(), TestRequest::put(), TestRequest::delete()] {
            let request = request.uri(&uri).insert_header(ContentType::json());
            let response = send(&app, request).await;
            assert_eq!(response.status, 405, "{path}");
            assert_eq!(response.header("allow"), Some("GET"), "{path}");
        }
        let head = TestRequest::default().method(actix_web::http::Method::HEAD).uri(&uri);
        assert_eq!(send(&app, head).await.status, 200, "{path}");
    }
}
