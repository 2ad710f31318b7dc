//! Tests that the inventory, the explanations and the health report change with the policies file.

use std::{fs, sync::OnceLock, time::Duration};

use actix_rateguard::{
    Count, Limit, MissingKey, OnError, Plan, RateGuard, RateLimit,
    explain::{Exemption, Outcome, RejectReason},
    inventory::LimitInfo,
    policies_file::Reloaded,
    rate_limit,
    test_util::Routes,
};
use actix_web::{
    App, HttpRequest, get,
    http::Method,
    test::{TestRequest, init_service},
    web,
};
use serde_json::{Value, json};

use super::{endpoints, explain_json, explanation_of, parse_json, post_json};
use crate::support::{
    app::{from_client, get as send_get, send},
    folder::Folder,
};

static GUARD: OnceLock<RateGuard> = OnceLock::new();

#[get("/op-file")]
#[rate_limit(policy = "op-file", key = "header:X-Key", limiter = GUARD.get().unwrap())]
async fn annotated() -> &'static str {
    "ok"
}

fn guard_with_file(path: &str) -> RateGuard {
    let guard = RateGuard::builder().policies_file(path).policies_file_interval(Duration::ZERO);
    guard.for_attributes(false).build().unwrap()
}

#[actix_web::test]
async fn explained_plan_can_be_removed_from_the_file() {
    let folder = Folder::new();
    let with = |plans: &str| format!("[plans]\nfree = \"1/minute\"\n{plans}");
    let path = folder.file("rateguard.toml", &with("old = \"2/minute\"\n"));
    let guard = guard_with_file(&path);
    let plan = |request: &HttpRequest| match request.headers().get("x-plan") {
        Some(plan) => Plan::named(plan.to_str().unwrap().to_owned()),
        None => Plan::named("free"),
    };
    let limit = RateLimit::new(&guard, Limit::plan(plan).name("op-plan"));
    let _app =
        init_service(App::new().service(web::resource("/").wrap(limit).to(async || "ok"))).await;
    let request = TestRequest::default().insert_header(("x-plan", "old"));
    let request = request.peer_addr("192.0.2.1:1".parse().unwrap()).to_http_request();
    let explanation = guard.explain_request(&request, &["op-plan"]).await;
    assert!(explanation.to_string().contains("2/minute"), "{explanation}");
    fs::write(&path, with("")).unwrap();
    assert_eq!(guard.reload_policies().unwrap(), Reloaded::Changed);
}

const FILE_BEFORE: &str = "[policies.op-file]\nrate = \"5/minute\"\n";

const FILE_AFTER: &str = r#"
[guard]
on_error = "closed"

[access]
deny_addresses = ["192.0.2.9"]

[policies.op-file]
rate = "7/hour token_bucket; 9/day"
key = "ip/48+header:X-Other"
missing_key = "deny"
cost = 2
count = "failure"
methods = "GET, DELETE"
ban = "3/hour for 15m"
candidate = "4/hour"
rollout = 100
"#;

fn both_limits(guard: &RateGuard) -> Vec<LimitInfo> {
    let limits = guard.inventory().limits().to_vec();
    assert_eq!(limits.len(), 2, "{limits:?}");
    limits
}

/// Explains a GET request with these headers. Returns the outcome of each of the two limits.
async fn outcomes(guard: &RateGuard, headers: &[(&str, &str)]) -> Vec<Outcome> {
    let request = TestRequest::get().peer_addr("192.0.2.1:1".parse().unwrap());
    let request = headers.iter().fold(request, |request, header| request.append_header(*header));
    let explanation = guard.explain_request(&request.to_http_request(), &["op-file"]).await;
    explanation.limits().iter().map(|limit| limit.outcome.clone()).collect()
}

#[actix_web::test]
async fn inventory_and_explanation_follow_reload_of_the_file() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", FILE_BEFORE);
    let guard = GUARD.get_or_init(|| guard_with_file(&path));
    let around = RateLimit::new(guard, Limit::policy("op-file").cost(3).methods([Method::GET]));
    let app = init_service(
        App::new()
            .service(annotated)
            .service(web::resource("/around").wrap(around).to(async || "ok"))
            .service(endpoints(guard)),
    )
    .await;
    assert_eq!(send_get(&app, 1, "/op-file").await.status, 200);
    let [attribute, middleware] = &both_limits(guard)[..] else { unreachable!() };
    assert_eq!((&*attribute.key, attribute.cost), ("header:X-Key", Some(1)));
    assert_eq!((&*middleware.key, middleware.cost), ("ip", Some(3)));
    assert_eq!(middleware.methods, ["GET"]);
    for limit in [attribute, middleware] {
        assert!(limit.is_policy);
        assert_eq!(limit.quotas, Some("5/minute".parse().unwrap()));
        assert_eq!((limit.on_error, limit.ban), (OnError::Open, None));
        assert_eq!((&limit.candidate, limit.rollout_percent), (&None, None));
    }
    for outcome in outcomes(guard, &[]).await {
        assert_eq!(outcome.decision().unwrap().limit(), 5);
    }

    fs::write(&path, FILE_AFTER).unwrap();
    assert_eq!(guard.reload_policies().unwrap(), Reloaded::Changed);
    for limit in both_limits(guard) {
        assert_eq!(limit.quotas, Some("7/hour token_bucket; 9/day".parse().unwrap()));
        assert_eq!(&*limit.key, "ip/48+header:x-other");
        assert_eq!((limit.missing_key, limit.cost), (MissingKey::Deny, Some(2)));
        assert_eq!((limit.count, limit.on_error), (Some(Count::Failure), OnError::Closed));
        assert_eq!(limit.methods, ["GET", "DELETE"]);
        assert_eq!(limit.ban, Some("3/hour for 15m".parse().unwrap()));
        assert!(!limit.is_in_shadow);
        assert_eq!(limit.candidate, Some("4/hour".parse().unwrap()));
        assert_eq!(limit.rollout_percent, Some(100));
    }
    let keyed = [("X-Other", "a")];
    for outcome in outcomes(guard, &keyed).await {
        assert_eq!(outcome.decision().unwrap().statuses()[0].quota(), "4/hour".parse().unwrap());
    }
    for outcome in outcomes(guard, &[("X-Key", "a")]).await {
        assert_eq!(outcome, Outcome::Rejected(RejectReason::NoKey));
    }
    assert_eq!(send_get(&app, 1, "/op-file").await.status, 403);
    let keyed = |request: TestRequest, client| {
        from_client(client, request.uri("/op-file").insert_header(("X-Other", "a")))
    };
    let explanation = explain_json(guard, keyed(TestRequest::post(), 1), &[]).await;
    let limits = explanation["limits"].as_array().unwrap();
    assert!(limits.iter().all(|it| it["because"] == "method"), "{limits:?}");
    let explanation = explain_json(guard, keyed(TestRequest::get(), 9), &[]).await;
    let limits = explanation["limits"].as_array().unwrap();
    assert!(limits.iter().all(|it| it["because"] == "address_denied"), "{limits:?}");

    // An explanation by key must also use three settings of the file: the key type, the candidate quotas, and the
    // access list.
    let selector = json!({ "policy": "op-file", "key": "a", "address": "192.0.2.1" });
    let explanation = post_json(&app, "explain", &selector).await;
    assert_eq!(
        (&explanation["by"], &explanation["is_rolled_out"]),
        (&json!("ip/48+header:x-other"), &json!(true))
    );
    assert_eq!(explanation["statuses"][0]["limit"], 4);
    let selector = json!({ "policy": "op-file", "key": "a", "address": "192.0.2.9" });
    assert_eq!(post_json(&app, "explain", &selector).await["because"], "address_denied");
}

#[actix_web::test]
async fn health_reports_generation_and_error_of_the_file() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", FILE_BEFORE);
    let guard = guard_with_file(&path);
    let app = init_service(App::new().service(endpoints(&guard))).await;
    let file_status =
        async || parse_json(&send_get(&app, 1, "/operator/health").await)["policies_file"].clone();
    let status = file_status().await;
    assert_eq!((&status["path"], &status["generation"]), (&json!(path), &json!(1)));
    assert_eq!(status["error"], Value::Null);
    let since = status["since_unix_seconds"].as_f64().unwrap();
    fs::write(&path, "[policies.op-file]\nrate = \"5/fortnight\"\n").unwrap();
    assert!(guard.reload_policies().is_err());
    let status = file_status().await;
    assert_eq!((&status["generation"], &status["since_unix_seconds"]), (&json!(1), &json!(since)));
    let error = status["error"].as_str().unwrap();
    assert!(error.contains(":2:8: unknown unit of time `fortnight`"), "{error}");
    fs::write(&path, FILE_AFTER).unwrap();
    assert_eq!(guard.reload_policies().unwrap(), Reloaded::Changed);
    let status = file_status().await;
    assert_eq!((&status["generation"], &status["error"]), (&json!(2), &Value::Null));
    let policies = parse_json(&send_get(&app, 1, "/operator/policies").await);
    let policy = &policies["policies"][0];
    assert_eq!((&policy["rollout_percent"], &policy["on_error"]), (&json!(100), &json!("closed")));
    assert_eq!(policy["candidate"][0]["limit"], 4);
    let guard_without_file = RateGuard::in_memory();
    let app = init_service(App::new().service(endpoints(&guard_without_file))).await;
    assert_eq!(
        parse_json(&send_get(&app, 1, "/operator/health").await)["policies_file"],
        Value::Null
    );
}

#[actix_web::test]
async fn explained_policy_can_be_removed_from_the_file() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", FILE_BEFORE);
    let guard = guard_with_file(&path);
    let app = init_service(App::new().service(endpoints(&guard))).await;
    let selector = json!({ "policy": "op-file", "key": "a" });
    assert_eq!(post_json(&app, "explain", &selector).await["passes"], true);
    assert!(guard.policy_of_limit("op-file").is_some());
    // A reload fails if the file does not contain a policy that is in use. An explanation does not count as a use, so
    // the reload succeeds.
    fs::write(&path, "# nothing\n").unwrap();
    assert_eq!(guard.reload_policies().unwrap(), Reloaded::Changed);
    assert!(guard.policy_of_limit("op-file").is_none());
}

#[actix_web::test]
async fn named_plans_follow_reload_of_the_file() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", "[plans]\nfree = \"3/hour\"\npaid = \"unlimited\"\n");
    let guard = guard_with_file(&path);
    let named = |request: &HttpRequest| Plan::named(request.query_string().to_owned());
    let limit = RateLimit::new(&guard, Limit::plan(named).name("op-plans"));
    let app =
        init_service(App::new().service(web::resource("/op-plans").wrap(limit).to(async || "ok")))
            .await;
    for (plan, outcome, because, status) in [
        ("free", "decided", Value::Null, 200),
        ("paid", "exempt", json!("plan"), 200),
        ("gone", "rejected", json!("no_plan"), 500),
    ] {
        let path = format!("/op-plans?{plan}");
        let request = from_client(1, TestRequest::get().uri(&path));
        let explanation = explain_json(&guard, request, &[]).await;
        let limit = explanation_of(&explanation, "op-plans");
        assert_eq!((&limit["outcome"], &limit["because"]), (&json!(outcome), &because), "{plan}");
        assert_eq!(limit["passes"], status == 200);
        assert_eq!(send(&app, TestRequest::get().uri(&path)).await.status, status);
    }
    fs::write(&path, "[plans]\nfree = \"4/hour\"\npaid = \"unlimited\"\n").unwrap();
    assert_eq!(guard.reload_policies().unwrap(), Reloaded::Changed);
    let request = TestRequest::with_uri("/?free").to_http_request();
    let explanation = guard.explain_request(&request, &[]).await;
    assert_eq!(explanation.limits()[0].outcome.decision().unwrap().limit(), 4);
    let request = TestRequest::with_uri("/?paid").to_http_request();
    let explanation = guard.explain_request(&request, &[]).await;
    assert_eq!(explanation.limits()[0].outcome, Outcome::Exempt(Exemption::Plan));
}

#[actix_web::test]
async fn route_probe_lists_methods_that_the_file_exempts() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", FILE_BEFORE);
    let guard = guard_with_file(&path);
    let around = RateLimit::new(&guard, Limit::policy("op-file"));
    let app =
        init_service(App::new().service(web::resource("/x").wrap(around).to(async || "ok"))).await;
    let routes = Routes::of([(Method::GET, "/x"), (Method::POST, "/x")]);
    assert!(routes.unlimited(&app).await.is_empty());
    fs::write(&path, format!("{FILE_BEFORE}methods = \"POST\"\n")).unwrap();
    assert_eq!(guard.reload_policies().unwrap(), Reloaded::Changed);
    assert_eq!(routes.unlimited(&app).await, ["GET /x"]);
}
