//! Nobody may, until the application says who may.

use actix_web::{
    App, HttpRequest, error::ErrorUnauthorized, test::TestRequest, test::init_service, web,
};
use rateguard::{RateGuard, operator};
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
fn without_consent_every_endpoint_is_refused_also_over_a_socket() {
    let guard = RateGuard::in_memory();
    let server = Server::start(move |config| {
        config.service(web::scope("/operator").service(operator::endpoints(&guard)));
    });
    for (_, endpoint) in ENDPOINTS {
        let url = server.url(&format!("/operator/{endpoint}"));
        let answers = [
            server::get(&url),
            server::post(&url, "application/json", BODY),
            server::post(&url, "text/plain", "x"),
        ];
        for answer in answers {
            assert_eq!(answer.status, 403, "{endpoint}: {answer:?}");
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
            let problem: Value = serde_json::from_str(&answer.body).unwrap();
            assert!(problem["detail"].as_str().unwrap().contains("allow_if"), "{problem}");
            // It says what to do, and nothing else.
            let fields: Vec<_> = problem.as_object().unwrap().keys().collect();
            assert_eq!(fields, ["detail", "status", "title", "type"]);
        }
    }
}

#[test]
fn whoever_is_let_in_is_answered_over_a_socket_and_nobody_else() {
    let guard = RateGuard::in_memory();
    let server = Server::start(move |config| {
        let endpoints = operator::endpoints(&guard).allow_if(async |request: &HttpRequest| {
            actix_web::rt::task::yield_now().await;
            request.query_string() == "token=right"
        });
        config.service(web::scope("/operator").service(endpoints));
    });
    for (method, endpoint) in ENDPOINTS {
        let ask = |token: &str| {
            let url = server.url(&format!("/operator/{endpoint}?token={token}"));
            match method {
                "GET" => server::get(&url),
                _ => server::post(&url, "application/json", BODY),
            }
        };
        let refused = ask("wrong");
        assert_eq!(refused.status, 403, "{endpoint}");
        assert!(!refused.body.contains("allow_if"), "{}", refused.body);
        let answer = ask("right");
        let expected =
            if method == "GET" { "application/json" } else { "application/problem+json" };
        // There is no such policy, which only who may ask is told.
        assert_eq!(answer.header("content-type"), Some(expected), "{answer:?}");
        assert_ne!(answer.status, 403, "{endpoint}");
    }
}

#[actix_web::test]
async fn consent_may_fail_and_the_methods_are_told_only_to_who_may() {
    let guard = RateGuard::in_memory();
    let endpoints = operator::endpoints(&guard).allow_if(|request: &HttpRequest| {
        match request.headers().get("Authorization") {
            Some(_) => Ok(true),
            None => Err(ErrorUnauthorized("who are you?")),
        }
    });
    let app = init_service(App::new().service(endpoints)).await;
    assert_eq!(send(&app, TestRequest::delete().uri("/ban")).await.status, 401);
    let authorized = || TestRequest::delete().insert_header(("Authorization", "x"));
    let answer = send(&app, authorized().uri("/ban")).await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    let answer = send(&app, authorized().uri("/health")).await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET")));
}

#[actix_web::test]
async fn a_body_is_not_read_before_consent() {
    let guard = RateGuard::in_memory();
    let endpoints = operator::endpoints(&guard).allow_if(|_: &HttpRequest| false);
    let app = init_service(App::new().service(endpoints)).await;
    let large = TestRequest::post().uri("/explain").set_payload(vec![b' '; 100_000]);
    assert_eq!(send(&app, large).await.status, 403);
}
