//! Tests the endpoints for overrides: bodies, errors, lists, explanations and the audit log.

use actix_rateguard::{ClientAddress, Limit, Policy, RateGuard, RateLimit, operator};
use actix_web::{
    App, HttpRequest,
    test::{TestRequest, init_service},
    web,
};
use serde_json::{Value, json};

use crate::support::{
    app::{Response, from_client, send},
    log_lines,
};

fn guard(name: &str) -> RateGuard {
    let policy = Policy::new(name.to_owned(), "2/minute").unwrap();
    let builder = RateGuard::builder().for_attributes(false).policy(policy);
    builder.overrides(true).build().unwrap()
}

macro_rules! app {
    ($guard:expr) => {
        init_service(App::new().service(endpoints($guard))).await
    };
}

fn endpoints(guard: &RateGuard) -> actix_web::Scope {
    let endpoints = operator::endpoints(guard).allow_if(|_: &HttpRequest| true);
    web::scope("/operator").service(endpoints)
}

fn post(endpoint: &str, body: &Value) -> TestRequest {
    from_client(1, TestRequest::post().uri(&format!("/operator/{endpoint}")).set_json(body))
}

fn parse(response: &Response) -> Value {
    serde_json::from_str(&response.body).unwrap()
}

#[actix_web::test]
async fn hostile_description_is_listed_as_data_and_not_logged() {
    log_lines::collect();
    let guard = guard("override-audit");
    let app = app!(&guard);
    let hostile = "</td><script>\u{1b}[31m\"\n\u{202e}%00";
    let body = json!({
        "policy": "override-audit", "key": "hunter2", "quotas": "9/minute",
        "for_seconds": 60, "description": hostile,
    });
    let response = send(&app, post("set_override", &body)).await;
    assert_eq!(response.status, 200, "{}", response.body);
    let set = parse(&response);
    assert_eq!((&set["policy"], &set["by"]), (&json!("override-audit"), &json!("value")));
    let list = send(&app, TestRequest::get().uri("/operator/overrides")).await;
    assert!(list.body.trim_end().bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    assert!(!list.body.contains(['<', '>']) && !list.body.contains("hunter2"), "{}", list.body);
    let listed = &parse(&list)["overrides"][0];
    assert_eq!((&listed["description"], &listed["policy"]), (&json!(hostile), &body["policy"]));
    assert_eq!(listed["quotas"][0]["text"], "9/minute");
    assert_eq!(listed["key_digest"].as_str().unwrap().len(), 32);

    let key = json!({"policy": "override-audit", "key": "hunter2"});
    let explained = parse(&send(&app, post("explain", &key)).await);
    assert_eq!(
        (&explained["is_overridden"], &explained["statuses"][0]["limit"]),
        (&json!(true), &json!(9))
    );
    assert_eq!(send(&app, post("remove_override", &key)).await.status, 200);
    let explained = parse(&send(&app, post("explain", &key)).await);
    assert_eq!(
        (&explained["is_overridden"], &explained["statuses"][0]["limit"]),
        (&json!(false), &json!(2))
    );

    let fields = r#"policy="override-audit" by="value""#;
    let lines = log_lines::from_all_targets_with("override-audit");
    assert_eq!(
        lines,
        [
            format!(
                r#"INFO operator: action=set_override {fields} quotas="9/minute" for_seconds=60 peer=192.0.2.1 outcome=done"#
            ),
            format!("INFO operator: action=remove_override {fields} peer=192.0.2.1 outcome=done"),
        ]
    );
}

#[actix_web::test]
async fn invalid_bodies_are_rejected_and_set_nothing() {
    let guard = guard("override-bodies");
    let app = app!(&guard);
    let valid = json!({
        "policy": "override-bodies", "key": "ann", "quotas": "9/minute", "for_seconds": 60,
    });
    for (field, value, status, detail) in [
        ("quotas", json!("9/minut"), 400, "`quotas`: unknown unit of time"),
        ("quotas", json!(""), 400, "`quotas`: expected a rate"),
        ("quotas", json!("unlimited"), 400, "`quotas`: expected a rate"),
        ("quotas", json!(9), 400, "invalid type: integer"),
        ("quotas", Value::Null, 400, "invalid type: null"),
        ("for_seconds", json!(0.5), 400, "from 1 second to 90 days"),
        ("for_seconds", json!(-1), 400, "from 1 second to 90 days"),
        ("for_seconds", json!(1e18), 400, "from 1 second to 90 days"),
        ("for_seconds", json!(1e300), 400, "from 1 second to 90 days"),
        ("description", json!("x".repeat(201)), 400, "at most 200 characters"),
        ("policy", json!("override-body"), 404, "did you mean `override-bodies`?"),
        ("name", json!("x"), 400, "unknown field `name`"),
    ] {
        let mut body = valid.clone();
        body[field] = value;
        let response = send(&app, post("set_override", &body)).await;
        let problem = parse(&response);
        assert_eq!(response.status, status, "{body}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{body}: {problem}");
    }
    assert_eq!(guard.overrides(), []);
    assert_eq!(send(&app, TestRequest::get().uri("/operator/set_override")).await.status, 405);

    let without = RateGuard::builder().for_attributes(false);
    let without = without.policy(Policy::new("override-bodies", "2/minute").unwrap());
    let app = app!(&without.build().unwrap());
    let response = send(&app, post("set_override", &valid)).await;
    assert_eq!(response.status, 409, "{}", response.body);
    assert!(response.body.contains(".overrides(true)"), "{}", response.body);
}

#[actix_web::test]
async fn inventory_counts_keys_with_an_override_and_shared_keys_get_none() {
    let rule = ClientAddress::peer().max_ipv6_keys_per_48(1);
    let builder = RateGuard::builder().for_attributes(false).overrides(true);
    let guard = builder.client_address(rule).build().unwrap();
    let limit = Limit::new("5/hour").key("ip").name("override-network");
    let app = init_service(App::new().service(endpoints(&guard)).service(
        web::scope("").wrap(RateLimit::new(&guard, limit)).route("/", web::get().to(async || "ok")),
    ))
    .await;
    let request = async |address: &str| {
        let peer = format!("[{address}]:4000").parse().unwrap();
        send(&app, TestRequest::with_uri("/").peer_addr(peer)).await.status
    };
    assert_eq!([request("2001:db8:1:1::1").await, request("2001:db8:1:2::1").await], [200, 200]);
    let body = |address: &str| {
        let policy = "override-network";
        json!({"policy": policy, "address": address, "quotas": "9/hour", "for_seconds": 60})
    };
    let first = send(&app, post("set_override", &body("2001:db8:1:1::1"))).await;
    assert_eq!(first.status, 200, "{}", first.body);
    let shared = send(&app, post("set_override", &body("2001:db8:1:2::1"))).await;
    assert_eq!(shared.status, 409, "{}", shared.body);
    let inventory = parse(&send(&app, TestRequest::get().uri("/operator/inventory")).await);
    assert_eq!(inventory["limits"][0]["overridden_keys"], 1);
}
