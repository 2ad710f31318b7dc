//! What a file says of limits is what is told of them.

use std::{fs, sync::OnceLock, time::Duration};

use actix_web::{
    App, HttpRequest, get,
    http::Method,
    test::{TestRequest, init_service},
    web,
};
use rateguard::{
    Count, Exemption, KnownLimit, MissingKey, OnError, Outcome, Plan, RateGuard, RateLimit,
    RefusedBy, Reloaded, rate_limit, test_util::Routes,
};
use serde_json::{Value, json};

use super::{endpoints, of_limit, parsed, told};
use crate::support::{
    app::{get as ask, send},
    folder::Folder,
};

static GUARD: OnceLock<RateGuard> = OnceLock::new();

#[get("/op-file")]
#[rate_limit(policy = "op-file", key = "header:X-Key", limiter = GUARD.get().unwrap())]
async fn annotated() -> &'static str {
    "ok"
}

fn by_hand(path: &str) -> RateGuard {
    let guard = RateGuard::builder().policies_file(path).policies_file_interval(Duration::ZERO);
    guard.for_attributes(false).build().unwrap()
}

#[actix_web::test]
async fn to_explain_what_a_plan_admits_is_not_to_use_it() {
    let folder = Folder::new();
    let with = |plans: &str| format!("[plans]\nfree = \"1/minute\"\n{plans}");
    let path = folder.file("rateguard.toml", &with("old = \"2/minute\"\n"));
    let guard = by_hand(&path);
    let plan = |request: &HttpRequest| match request.headers().get("x-plan") {
        Some(plan) => Plan::named(plan.to_str().unwrap().to_owned()),
        None => Plan::named("free"),
    };
    let limit = RateLimit::per_request(&guard, plan).name("op-plan");
    let _app =
        init_service(App::new().service(web::resource("/").wrap(limit).to(async || "ok"))).await;
    let request = TestRequest::default().insert_header(("x-plan", "old"));
    let request = request.peer_addr("192.0.2.1:1".parse().unwrap()).to_http_request();
    let explanation = guard.explain_request(&request, &["op-plan"]).await;
    assert!(explanation.to_string().contains("2/minute"), "{explanation}");
    fs::write(&path, with("")).unwrap();
    assert_eq!(guard.reload_policies().unwrap(), Reloaded::Changed);
}

const BEFORE: &str = "[policies.op-file]\nrate = \"5/minute\"\n";

const AFTER: &str = r#"
[guard]
on_error = "closed"

[access]
deny_addresses = ["192.0.2.9"]

[policies.op-file]
rate = "7/hour token_bucket; 9/day"
key = "ip/48+header:X-Other"
missing = "deny"
cost = 2
count = "failure"
methods = "GET, DELETE"
ban = "3/hour for 15m"
shadow = "4/hour"
rollout = 100
"#;

fn both(guard: &RateGuard) -> Vec<KnownLimit> {
    let limits = guard.inventory().limits().to_vec();
    assert_eq!(limits.len(), 2, "{limits:?}");
    limits
}

/// What is told of a GET at both limits.
async fn outcomes(guard: &RateGuard, headers: &[(&str, &str)]) -> Vec<Outcome> {
    let request = TestRequest::get().peer_addr("192.0.2.1:1".parse().unwrap());
    let request = headers.iter().fold(request, |request, header| request.append_header(*header));
    let explanation = guard.explain_request(&request.to_http_request(), &["op-file"]).await;
    explanation.limits().iter().map(|limit| limit.outcome.clone()).collect()
}

#[actix_web::test]
async fn a_policy_that_the_file_changes_is_told_as_it_is_now() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", BEFORE);
    let guard = GUARD.get_or_init(|| by_hand(&path));
    let around = RateLimit::policy(guard, "op-file").cost(3).methods([Method::GET]);
    let app = init_service(
        App::new()
            .service(annotated)
            .service(web::resource("/around").wrap(around).to(async || "ok"))
            .service(endpoints(guard)),
    )
    .await;
    assert_eq!(ask(&app, 1, "/op-file").await.status, 200);
    let [attribute, middleware] = &both(guard)[..] else { unreachable!() };
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

    fs::write(&path, AFTER).unwrap();
    assert_eq!(guard.reload_policies().unwrap(), Reloaded::Changed);
    for limit in both(guard) {
        assert_eq!(limit.quotas, Some("7/hour token_bucket; 9/day".parse().unwrap()));
        assert_eq!(&*limit.key, "ip/48+header:x-other");
        assert_eq!((limit.missing_key, limit.cost), (MissingKey::Deny, Some(2)));
        assert_eq!((limit.count, limit.on_error), (Count::Failure, OnError::Closed));
        assert_eq!(limit.methods, ["GET", "DELETE"]);
        assert_eq!(limit.ban, Some("3/hour for 15m".parse().unwrap()));
        assert!(!limit.is_in_shadow);
        assert_eq!(limit.candidate, Some("4/hour".parse().unwrap()));
        assert_eq!(limit.rollout_percent, Some(100));
    }
    let keyed = [("X-Other", "a")];
    for outcome in outcomes(guard, &keyed).await {
        assert_eq!(outcome.decision().unwrap().standings()[0].quota(), "4/hour".parse().unwrap());
    }
    for outcome in outcomes(guard, &[("X-Key", "a")]).await {
        assert_eq!(outcome, Outcome::Refused(RefusedBy::NoKey));
    }
    assert_eq!(ask(&app, 1, "/op-file").await.status, 403);
    let described = |method: &str, peer: &str| {
        let request = json!({
            "method": method, "path": "/op-file", "peer": peer, "headers": [["X-Other", "a"]],
        });
        json!({ "request": request })
    };
    let explained = told(&app, "explain", &described("POST", "192.0.2.1")).await;
    let explained = explained["limits"].as_array().unwrap();
    assert!(explained.iter().all(|it| it["because"] == "method"), "{explained:?}");
    let explained = told(&app, "explain", &described("GET", "192.0.2.9")).await;
    let explained = explained["limits"].as_array().unwrap();
    assert!(explained.iter().all(|it| it["because"] == "address_denied"), "{explained:?}");

    // By key it is what the file says, too: who they are, and what is enforced for them.
    let somebody = json!({ "policy": "op-file", "key": "a", "address": "192.0.2.1" });
    let explained = told(&app, "explain", &somebody).await;
    assert_eq!(
        (&explained["by"], &explained["is_rolled_out"]),
        (&json!("ip/48+header:x-other"), &json!(true))
    );
    assert_eq!(explained["standings"][0]["limit"], 4);
    let somebody = json!({ "policy": "op-file", "key": "a", "address": "192.0.2.9" });
    assert_eq!(told(&app, "explain", &somebody).await["because"], "address_denied");
}

#[actix_web::test]
async fn what_becomes_of_the_file_is_told() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", BEFORE);
    let guard = by_hand(&path);
    let app = init_service(App::new().service(endpoints(&guard))).await;
    let health = async || parsed(&ask(&app, 1, "/operator/health").await)["policies_file"].clone();
    let told = health().await;
    assert_eq!((&told["path"], &told["generation"]), (&json!(path), &json!(1)));
    assert_eq!(told["error"], Value::Null);
    let since = told["since_unix_seconds"].as_f64().unwrap();
    fs::write(&path, "[policies.op-file]\nrate = \"5/fortnight\"\n").unwrap();
    assert!(guard.reload_policies().is_err());
    let told = health().await;
    assert_eq!((&told["generation"], &told["since_unix_seconds"]), (&json!(1), &json!(since)));
    let error = told["error"].as_str().unwrap();
    assert!(error.contains(":2:8: `fortnight`"), "{error}");
    fs::write(&path, AFTER).unwrap();
    assert_eq!(guard.reload_policies().unwrap(), Reloaded::Changed);
    let told = health().await;
    assert_eq!((&told["generation"], &told["error"]), (&json!(2), &Value::Null));
    let policies = parsed(&ask(&app, 1, "/operator/policies").await);
    let policy = &policies["policies"][0];
    assert_eq!((&policy["rollout_percent"], &policy["on_error"]), (&json!(100), &json!("closed")));
    assert_eq!(policy["candidate"][0]["limit"], 4);
    let without = RateGuard::in_memory();
    let app = init_service(App::new().service(endpoints(&without))).await;
    assert_eq!(parsed(&ask(&app, 1, "/operator/health").await)["policies_file"], Value::Null);
}

#[actix_web::test]
async fn to_be_asked_about_is_not_to_be_used() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", BEFORE);
    let guard = by_hand(&path);
    let app = init_service(App::new().service(endpoints(&guard))).await;
    let somebody = json!({ "policy": "op-file", "key": "a" });
    assert_eq!(told(&app, "explain", &somebody).await["passes"], true);
    assert!(guard.known_policy("op-file").is_some());
    // A name that the program uses could not go.
    fs::write(&path, "# nothing\n").unwrap();
    assert_eq!(guard.reload_policies().unwrap(), Reloaded::Changed);
    assert!(guard.known_policy("op-file").is_none());
}

#[actix_web::test]
async fn plans_by_name_are_those_of_the_file() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", "[plans]\nfree = \"3/hour\"\npaid = \"unlimited\"\n");
    let guard = by_hand(&path);
    let named = |request: &HttpRequest| Plan::named(request.query_string().to_owned());
    let limit = RateLimit::per_request(&guard, named).name("op-plans");
    let app = init_service(
        App::new()
            .service(web::resource("/op-plans").wrap(limit).to(async || "ok"))
            .service(endpoints(&guard)),
    )
    .await;
    for (plan, outcome, because, status) in [
        ("free", "decided", Value::Null, 200),
        ("paid", "exempt", json!("plan"), 200),
        ("gone", "refused", json!("no_plan"), 500),
    ] {
        let path = format!("/op-plans?{plan}");
        let request = json!({ "request": { "path": &path, "peer": "192.0.2.1" } });
        let explanation = told(&app, "explain", &request).await;
        let limit = of_limit(&explanation, "op-plans");
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
async fn a_route_whose_methods_the_file_frees_has_no_limit() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", BEFORE);
    let guard = by_hand(&path);
    let around = RateLimit::policy(&guard, "op-file");
    let app =
        init_service(App::new().service(web::resource("/x").wrap(around).to(async || "ok"))).await;
    let routes = Routes::of([(Method::GET, "/x"), (Method::POST, "/x")]);
    assert!(routes.unlimited(&app).await.is_empty());
    fs::write(&path, format!("{BEFORE}methods = \"POST\"\n")).unwrap();
    assert_eq!(guard.reload_policies().unwrap(), Reloaded::Changed);
    assert_eq!(routes.unlimited(&app).await, ["GET /x"]);
}
