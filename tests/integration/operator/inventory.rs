//! Tests the inventory, which lists the limits of a guard. It must already contain them before the first request.

use actix_rateguard::{
    Limit, MissingKey, OnError, Policy, RateGuard, RateLimit,
    inventory::{LimitInfo, LimitKind},
    key, rate_limit,
};
use actix_web::{App, HttpRequest, get, post, test::init_service, web};

use super::{endpoints, parse_json};
use crate::support::app::get as send_get;

#[get("/op-inventory")]
#[rate_limit(
    rate = "5/second; 100/minute",
    key = "user+ip",
    name = "op-inventory",
    missing_key = "deny",
    ban = "10/hour for 15m",
    on_error = "closed",
    count = "status:4xx",
    methods = "GET, POST",
    cost = 2
)]
async fn limited() -> &'static str {
    "ok"
}

#[post("/op-unnamed")]
#[rate_limit(rate = "5/second", key = |request: &HttpRequest| request.path().to_owned(), skip = |_: &HttpRequest| false, cost = |_: &HttpRequest| 1)]
async fn unnamed() -> &'static str {
    "ok"
}

async fn unlimited() -> &'static str {
    "ok"
}

static OWN_LIMITER: std::sync::LazyLock<RateGuard> = std::sync::LazyLock::new(RateGuard::in_memory);

#[get("/op-own-limiter")]
#[rate_limit(rate = "5/second", key = "ip", name = "op-own-limiter", limiter = OWN_LIMITER)]
async fn with_own_limiter() -> &'static str {
    "ok"
}

fn limits_named(guard: &RateGuard, name: &str) -> Vec<LimitInfo> {
    guard.inventory().limits().iter().filter(|limit| limit.name == name).cloned().collect()
}

fn only_limit(guard: &RateGuard, name: &str) -> LimitInfo {
    let mut all = limits_named(guard, name);
    assert_eq!(all.len(), 1, "{name}: {all:?}");
    all.remove(0)
}

#[test]
fn inventory_lists_attributes_before_any_application_exists() {
    let guard = RateGuard::in_memory();
    let limit = only_limit(&guard, "op-inventory");
    assert_eq!(limit.kind, LimitKind::Attribute);
    assert_eq!(limit.quotas, Some("5/second; 100/minute".parse().unwrap()));
    assert_eq!((limit.key.as_str(), limit.missing_key), ("user+ip", MissingKey::Deny));
    assert_eq!(limit.ban, Some("10/hour for 15m".parse().unwrap()));
    assert_eq!((limit.on_error, limit.count), (OnError::Closed, "status:4xx".parse().ok()));
    assert_eq!((limit.cost, limit.has_skip), (Some(2), false));
    assert_eq!(limit.methods, ["GET", "POST"]);
    assert!(limit.file.ends_with("operator/inventory.rs"), "{}", limit.file);
    let line = include_str!("inventory.rs").lines().position(|line| line == "#[rate_limit(");
    assert_eq!(limit.line as usize, line.unwrap() + 1);

    let limit = only_limit(&guard, concat!(module_path!(), "::unnamed"));
    assert_eq!((limit.key.as_str(), limit.cost, limit.has_skip), ("function", None, true));
}

#[actix_web::test]
async fn attribute_with_own_limiter_is_listed_after_its_first_request() {
    assert_eq!(limits_named(&RateGuard::in_memory(), "op-own-limiter"), []);
    assert_eq!(limits_named(&OWN_LIMITER, "op-own-limiter"), []);
    let app = init_service(App::new().service(with_own_limiter)).await;
    assert_eq!(send_get(&app, 1, "/op-own-limiter").await.status, 200);
    assert_eq!(only_limit(&OWN_LIMITER, "op-own-limiter").key, "ip");
    let without_attributes = RateGuard::builder().for_attributes(false).build().unwrap();
    assert_eq!(without_attributes.inventory().limits(), []);
}

#[actix_web::test]
async fn middleware_is_listed_once_for_all_workers() {
    let guard = RateGuard::builder()
        .policy(Policy::new("op-of-policy", "7/minute").unwrap().on_error(OnError::Local))
        .for_attributes(false)
        .build()
        .unwrap();
    assert_eq!(guard.inventory().limits(), []);
    for _worker in 0..3 {
        let limit = RateLimit::new(
            &guard,
            Limit::new("5/minute")
                .key(key::header("X-Key").and(key::ip_network(48)))
                .name("op-first"),
        )
        .and(Limit::new("9/minute").key(|_: &HttpRequest| "all").name("op-second"))
        .and(Limit::policy("op-of-policy"));
        let _app = init_service(App::new().wrap(limit)).await;
        assert_eq!(guard.inventory().limits().len(), 3);
    }
    let limit = only_limit(&guard, "op-first");
    assert_eq!((limit.kind, limit.key.as_str()), (LimitKind::Middleware, "header:x-key+ip/48"));
    assert!(limit.file.ends_with("operator/inventory.rs"));
    let policy_limit = only_limit(&guard, "op-of-policy");
    assert_eq!((policy_limit.is_policy, policy_limit.key.as_str()), (true, "ip"));
    assert_eq!(policy_limit.on_error, OnError::Local);
    assert_eq!(only_limit(&guard, "op-second").key, "function");
    // The table has one line for the heading, and one line for each limit.
    let table = guard.inventory().to_string();
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(table.contains("op-first") && table.contains("9/minute"), "{table}");
}

#[actix_web::test]
async fn inventory_does_not_prevent_drop_of_the_guard() {
    let marker = std::sync::Arc::new(());
    let guard = RateGuard::in_memory();
    let (in_key, of_guard) = (marker.clone(), guard.clone());
    let limit = RateLimit::new(
        &guard,
        Limit::new("5/minute").name("op-marker").key(move |_: &HttpRequest| {
            let _ = (&in_key, &of_guard);
            "all"
        }),
    );
    let app = init_service(App::new().wrap(limit)).await;
    assert_eq!(std::sync::Arc::strong_count(&marker), 2);
    drop(app);
    drop(guard);
    assert_eq!(std::sync::Arc::strong_count(&marker), 1);
}

#[actix_web::test]
async fn inventory_is_bounded_to_1024_limits() {
    let guard = RateGuard::builder().for_attributes(false).build().unwrap();
    for number in 0..1_100 {
        let limit =
            RateLimit::new(&guard, Limit::new("5/minute").name(format!("op-bounded-{number}")));
        let _app = init_service(App::new().wrap(limit)).await;
    }
    let inventory = guard.inventory();
    assert_eq!((inventory.limits().len(), inventory.omitted()), (1_024, 76));
}

#[actix_web::test]
async fn endpoints_return_inventory_policies_and_health() {
    let guard = RateGuard::builder()
        .policy(Policy::new("op-of-policy", "7/minute").unwrap().ban("3/minute for 30s").unwrap())
        .for_attributes(false)
        .build()
        .unwrap();
    let limit = RateLimit::new(&guard, Limit::policy("op-of-policy").key(key::user()));
    let app = init_service(
        App::new()
            .service(web::scope("/limited").wrap(limit).route("/", web::get().to(unlimited)))
            .service(endpoints(&guard)),
    )
    .await;
    let inventory = parse_json(&send_get(&app, 1, "/operator/inventory").await);
    assert_eq!(inventory["version"], 1);
    let limit = &inventory["limits"][0];
    assert_eq!((&limit["name"], &limit["key"]), (&"op-of-policy".into(), &"user".into()));
    assert_eq!(limit["quotas"][0]["limit"], 7);
    assert_eq!(limit["quotas"][0]["window_seconds"], 60.0);
    assert_eq!(limit["ban"], "3/minute for 30 seconds");
    // The JSON of the endpoint must be equal to the JSON that `serde_json` makes from the Rust value.
    assert_eq!(serde_json::to_value(guard.inventory()).unwrap(), inventory);

    let policies = parse_json(&send_get(&app, 1, "/operator/policies").await);
    assert_eq!(policies["policies"][0]["name"], "op-of-policy");
    assert_eq!(policies["policies"][0]["on_error"], "open");

    let health = parse_json(&send_get(&app, 1, "/operator/health").await);
    assert_eq!((&health["is_good"], &health["cause"]), (&true.into(), &serde_json::Value::Null));
    assert_eq!(health["unanswered"]["open"], 0);
}
