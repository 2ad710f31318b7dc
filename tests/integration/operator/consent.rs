//! Tests that the endpoints reject every request until the application has set `allow_if`.

use actix_rateguard::{RateGuard, operator};
use actix_web::{
    App, HttpRequest, error::ErrorUnauthorized, test::TestRequest, test::init_service, web,
};
use serde_json::Value;

use crate::support::{
    app::send,
    server::{self, Server},
};

const ENDPOINTS: [(&str, &str); 7] = [
    ("GET", "inventory"),
    ("GET", "policies"),
    ("GET", "health"),
    ("POST", "explain"),
    ("POST", "reset"),
    ("POST", "ban"),
    ("POST", "unban"),
];

const BODY: &str = r#"{"policy": "op-consent", "key": "ann"}"#;

#[test]
fn endpoints_without_allow_if_return_403() {
    let guard = RateGuard::in_memory();
    let server = Server::start(move |config| {
        config.service(web::scope("/operator").service(operator::endpoints(&guard)));
    });
    for (_, endpoint) in ENDPOINTS {
        let url = server.url(&format!("/operator/{endpoint}"));
        let responses = [
            server::get(&url),
            server::post(&url, "application/json", BODY),
            server::post(&url, "text/plain", "x"),
        ];
        for response in responses {
            assert_eq!(response.status, 403, "{endpoint}: {response:?}");
            assert_eq!(response.header("content-type"), Some("application/problem+json"));
            assert_eq!(response.header("cache-control"), Some("no-store"));
            assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
            let problem: Value = serde_json::from_str(&response.body).unwrap();
            assert!(problem["detail"].as_str().unwrap().contains("allow_if"), "{problem}");
            // The response body must name the missing setting, and it must not contain anything else.
            let fields: Vec<_> = problem.as_object().unwrap().keys().collect();
            assert_eq!(fields, ["detail", "status", "title", "type"]);
        }
    }
}

#[test]
fn async_allow_if_admits_only_authorized_requests() {
    let guard = RateGuard::in_memory();
    let server = Server::start(move |config| {
        let endpoints = operator::endpoints(&guard).allow_if(async |request: &HttpRequest| {
            actix_web::rt::task::yield_now().await;
            request.query_string() == "token=right"
        });
        config.service(web::scope("/operator").service(endpoints));
    });
    for (method, endpoint) in ENDPOINTS {
        let send_with = |token: &str| {
            let url = server.url(&format!("/operator/{endpoint}?token={token}"));
            match method {
                "GET" => server::get(&url),
                _ => server::post(&url, "application/json", BODY),
            }
        };
        let rejected = send_with("wrong");
        assert_eq!(rejected.status, 403, "{endpoint}");
        assert!(!rejected.body.contains("allow_if"), "{}", rejected.body);
        let response = send_with("right");
        let expected =
            if method == "GET" { "application/json" } else { "application/problem+json" };
        // The requested policy does not exist. The status 404 reveals this, so only an authorized request may get it.
        assert_eq!(response.header("content-type"), Some(expected), "{response:?}");
        assert_ne!(response.status, 403, "{endpoint}");
    }
}

#[actix_web::test]
async fn allow_if_error_is_returned_before_the_method_check() {
    let guard = RateGuard::in_memory();
    let endpoints = operator::endpoints(&guard).allow_if(|request: &HttpRequest| {
        match request.headers().get("Authorization") {
            Some(_) => Ok(true),
            None => Err(ErrorUnauthorized("unauthorized")),
        }
    });
    let app = init_service(App::new().service(endpoints)).await;
    assert_eq!(send(&app, TestRequest::delete().uri("/ban")).await.status, 401);
    let authorized = || TestRequest::delete().insert_header(("Authorization", "x"));
    let response = send(&app, authorized().uri("/ban")).await;
    assert_eq!((response.status, response.header("allow")), (405, Some("POST")));
    let response = send(&app, authorized().uri("/health")).await;
    assert_eq!((response.status, response.header("allow")), (405, Some("GET")));
}

#[actix_web::test]
async fn body_is_not_read_before_allow_if() {
    let guard = RateGuard::in_memory();
    let endpoints = operator::endpoints(&guard).allow_if(|_: &HttpRequest| false);
    let app = init_service(App::new().service(endpoints)).await;
    let large = TestRequest::post().uri("/explain").set_payload(vec![b' '; 100_000]);
    assert_eq!(send(&app, large).await.status, 403);
}
