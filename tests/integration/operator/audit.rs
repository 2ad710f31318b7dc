//! Tests the log messages that report changes by an operator.

use actix_rateguard::{Ban, ClientAddress, Policy, RateGuard, UserId, operator};
use actix_web::{
    App, HttpMessage, HttpRequest,
    test::{TestRequest, init_service},
    web,
};
use serde_json::{Value, json};

use crate::support::{app::send, log_lines};

/// Returns a guard that has a policy with the name `policy`.
fn guard(policy: &str) -> RateGuard {
    let policy = Policy::new(policy.to_owned(), "1/hour").unwrap();
    let policy = policy.ban("2/hour for 1h".parse::<Ban>().unwrap()).unwrap();
    let rule = ClientAddress::behind(["10.0.0.0/24"]).unwrap();
    let settings = RateGuard::builder().client_address(rule).policy(policy);
    settings.for_attributes(false).build().unwrap()
}

const TOKEN: &str = "a-very-long-secret";

fn endpoints(guard: &RateGuard) -> actix_web::Scope {
    let endpoints = operator::endpoints(guard).allow_if(|request: &HttpRequest| {
        let given = request.headers().get("X-Token");
        let is_operator = given.is_some_and(|given| operator::token_matches(given, TOKEN));
        if is_operator {
            request.extensions_mut().insert(UserId::new("ann\nforged line"));
        }
        is_operator
    });
    web::scope("/operator").service(endpoints)
}

fn request(endpoint: &str, body: &Value) -> TestRequest {
    let peer = "10.0.0.1:4711".parse().unwrap();
    let request = TestRequest::post().uri(&format!("/operator/{endpoint}")).peer_addr(peer);
    request.insert_header(("X-Forwarded-For", "192.0.2.9")).set_json(body)
}

#[actix_web::test]
async fn operator_change_logs_one_line_without_the_key() {
    log_lines::collect();
    let guard = guard("audited-changes");
    let app = init_service(App::new().service(endpoints(&guard))).await;
    let client_fields = r#"peer=10.0.0.1 client=192.0.2.9 user="ann\\nforged line""#;
    let policy = r#"policy="audited-changes" by="value""#;
    for (endpoint, body, expected) in [
        (
            "reset",
            json!({"policy": "audited-changes", "key": "hunter2"}),
            format!("INFO operator: action=reset {policy} {client_fields} outcome=done"),
        ),
        (
            "ban",
            json!({"policy": "audited-changes", "key": "hunter2", "for_seconds": 60}),
            format!(
                "INFO operator: action=ban {policy} for_seconds=60 {client_fields} outcome=done"
            ),
        ),
        (
            "unban",
            json!({"policy": "audited-changes", "key": "hunter2"}),
            format!("INFO operator: action=unban {policy} {client_fields} outcome=done"),
        ),
        (
            "ban",
            json!({"policy": "audited-changes", "key": "hunter2", "for_seconds": 1e9}),
            format!(
                "WARN operator: action=ban {policy} for_seconds=1000000000 {client_fields} outcome=failed status=400"
            ),
        ),
        (
            "unban",
            json!({"policy": "audited-changes\nhunter3", "key": "hunter2"}),
            format!(
                r#"WARN operator: action=unban policy="audited-changes\\nhunter3" {client_fields} outcome=failed status=404"#
            ),
        ),
    ] {
        let before = log_lines::from_all_targets_with("operator: action=").len();
        let response = send(&app, request(endpoint, &body).insert_header(("X-Token", TOKEN))).await;
        let lines = log_lines::from_all_targets_with("audited-changes");
        assert_eq!(lines.last(), Some(&expected), "{}", response.body);
        assert!(log_lines::from_all_targets_with("operator: action=").len() > before);
    }
    assert_eq!(log_lines::from_all_targets_with("audited-changes").len(), 5);
    for line in log_lines::from_all_targets_with("operator: action=") {
        assert!(!line.contains("hunter2") && !line.contains(TOKEN), "{line}");
        assert!(!line.contains('\n'), "{line}");
    }
}

#[actix_web::test]
async fn forbidden_changes_are_logged_throttled_and_explanations_never() {
    log_lines::collect();
    let guard = guard("audited-refusals");
    let app = init_service(App::new().service(endpoints(&guard))).await;
    let body = json!({"policy": "audited-refusals", "key": "hunter2"});
    for _ in 0..20 {
        let response =
            send(&app, request("unban", &body).insert_header(("X-Token", "wrong"))).await;
        assert_eq!(response.status, 403);
    }
    // The process writes this kind of log message at most once in 10 seconds. The request that caused the message may
    // belong to a different test.
    let lines = log_lines::from_all_targets_with("outcome=forbidden");
    assert!((1..20).contains(&lines.len()), "{lines:?}");
    assert!(lines.iter().all(|line| !line.contains("wrong") && !line.contains("hunter2")));
    let explain = request("explain", &body).insert_header(("X-Token", TOKEN));
    assert_eq!(send(&app, explain).await.status, 200);
    assert!(log_lines::from_all_targets_with("audited-refusals").is_empty());
}
