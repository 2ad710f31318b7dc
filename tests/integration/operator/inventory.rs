//! What limits there are, before any request comes.

use actix_web::{App, HttpRequest, get, post, test::init_service, web};
use rateguard::{
    Count, KnownLimit, LimitKind, MissingKey, OnError, Policy, RateGuard, RateLimit, key,
    rate_limit,
};

use super::{endpoints, parsed};
use crate::support::app::get as ask;

#[get("/op-inventory")]
#[rate_limit(
    rate = "5/second; 100/minute",
    key = "user+ip",
    name = "op-inventory",
    missing = "deny",
    ban = "10/hour for 15m",
    on_error = "closed",
    count = "status:4xx",
    methods = "GET, POST",
    cost = 2
)]
async fn described() -> &'static str {
    "ok"
}

#[post("/op-unnamed")]
#[rate_limit(rate = "5/second", key = |request: &HttpRequest| request.path().to_owned(), skip = |_: &HttpRequest| false, cost = |_: &HttpRequest| 1)]
async fn without_a_name() -> &'static str {
    "ok"
}

async fn unlimited() -> &'static str {
    "ok"
}

static OTHER: std::sync::LazyLock<RateGuard> = std::sync::LazyLock::new(RateGuard::in_memory);

#[get("/op-elsewhere")]
#[rate_limit(rate = "5/second", key = "ip", name = "op-elsewhere", limiter = OTHER)]
async fn elsewhere() -> &'static str {
    "ok"
}

fn named(guard: &RateGuard, name: &str) -> Vec<KnownLimit> {
    guard.inventory().limits().iter().filter(|limit| limit.name == name).cloned().collect()
}

fn only(guard: &RateGuard, name: &str) -> KnownLimit {
    let mut all = named(guard, name);
    assert_eq!(all.len(), 1, "{name}: {all:?}");
    all.remove(0)
}

#[test]
fn annotated_handlers_are_known_before_any_application_is() {
    let guard = RateGuard::in_memory();
    let limit = only(&guard, "op-inventory");
    assert_eq!(limit.kind, LimitKind::Attribute);
    assert_eq!(limit.quotas, Some("5/second; 100/minute".parse().unwrap()));
    assert_eq!((limit.key.as_str(), limit.missing_key), ("user+ip", MissingKey::Deny));
    assert_eq!(limit.ban, Some("10/hour for 15m".parse().unwrap()));
    assert_eq!((limit.on_error, limit.count), (OnError::Closed, Count::Class(4)));
    assert_eq!((limit.cost, limit.has_skip), (Some(2), false));
    assert_eq!(limit.methods, ["GET", "POST"]);
    assert!(limit.file.ends_with("operator/inventory.rs"), "{}", limit.file);
    let line = include_str!("inventory.rs").lines().position(|line| line == "#[rate_limit(");
    assert_eq!(limit.line as usize, line.unwrap() + 1);

    let limit = only(&guard, concat!(module_path!(), "::without_a_name"));
    assert_eq!((limit.key.as_str(), limit.cost, limit.has_skip), ("function", None, true));
}

#[actix_web::test]
async fn a_handler_with_a_guard_of_its_own_is_known_there_once_it_was_met() {
    assert_eq!(named(&RateGuard::in_memory(), "op-elsewhere"), []);
    assert_eq!(named(&OTHER, "op-elsewhere"), []);
    let app = init_service(App::new().service(elsewhere)).await;
    assert_eq!(ask(&app, 1, "/op-elsewhere").await.status, 200);
    assert_eq!(only(&OTHER, "op-elsewhere").key, "ip");
    let not_for_attributes = RateGuard::builder().for_attributes(false).build().unwrap();
    assert_eq!(not_for_attributes.inventory().limits(), []);
}

#[actix_web::test]
async fn a_middleware_is_noted_once_for_all_workers_and_stays_when_they_stop() {
    let guard = RateGuard::builder()
        .policy(Policy::new("op-of-policy", "7/minute").unwrap().on_error(OnError::Local))
        .for_attributes(false)
        .build()
        .unwrap();
    assert_eq!(guard.inventory().limits(), []);
    for _worker in 0..3 {
        let limit = RateLimit::new(&guard, "5/minute")
            .by(key::header("X-Key").and(key::ip_network(48)))
            .name("op-first")
            .and("9/minute")
            .by(|_: &HttpRequest| "all")
            .name("op-second")
            .and_policy("op-of-policy");
        let _app = init_service(App::new().wrap(limit)).await;
        assert_eq!(guard.inventory().limits().len(), 3);
    }
    let limit = only(&guard, "op-first");
    assert_eq!((limit.kind, limit.key.as_str()), (LimitKind::Middleware, "header:x-key+ip/48"));
    assert!(limit.file.ends_with("operator/inventory.rs"));
    let named = only(&guard, "op-of-policy");
    assert_eq!((named.is_policy, named.key.as_str()), (true, "ip"));
    assert_eq!(named.on_error, OnError::Local);
    assert_eq!(only(&guard, "op-second").key, "function");
    // The table has a row for each, and the headings.
    let table = guard.inventory().to_string();
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(table.contains("op-first") && table.contains("9/minute"), "{table}");
}

#[actix_web::test]
async fn the_inventory_keeps_no_guard_alive() {
    let held = std::sync::Arc::new(());
    let guard = RateGuard::in_memory();
    let (in_key, of_guard) = (held.clone(), guard.clone());
    let limit = RateLimit::new(&guard, "5/minute").name("op-held").by(move |_: &HttpRequest| {
        let _ = (&in_key, &of_guard);
        "all"
    });
    let app = init_service(App::new().wrap(limit)).await;
    assert_eq!(std::sync::Arc::strong_count(&held), 2);
    drop(app);
    drop(guard);
    assert_eq!(std::sync::Arc::strong_count(&held), 1);
}

#[actix_web::test]
async fn what_is_noted_is_bounded() {
    let guard = RateGuard::builder().for_attributes(false).build().unwrap();
    for number in 0..1_100 {
        let limit = RateLimit::new(&guard, "5/minute").name(format!("op-bounded-{number}"));
        let _app = init_service(App::new().wrap(limit)).await;
    }
    let inventory = guard.inventory();
    assert_eq!((inventory.limits().len(), inventory.left_out()), (1_024, 76));
}

#[actix_web::test]
async fn the_endpoints_tell_limits_policies_and_how_the_store_is() {
    let guard = RateGuard::builder()
        .policy(Policy::new("op-of-policy", "7/minute").unwrap().ban("3/minute for 30s").unwrap())
        .for_attributes(false)
        .build()
        .unwrap();
    let around = RateLimit::policy(&guard, "op-of-policy").by(key::user());
    let app = init_service(
        App::new()
            .service(web::scope("/limited").wrap(around).route("/", web::get().to(unlimited)))
            .service(endpoints(&guard)),
    )
    .await;
    let inventory = parsed(&ask(&app, 1, "/operator/inventory").await);
    assert_eq!(inventory["version"], 1);
    let limit = &inventory["limits"][0];
    assert_eq!((&limit["name"], &limit["key"]), (&"op-of-policy".into(), &"user".into()));
    assert_eq!(limit["quotas"][0]["limit"], 7);
    assert_eq!(limit["quotas"][0]["window_seconds"], 60.0);
    assert_eq!(limit["ban"], "3/minute for 30 seconds");
    // As the Rust value is written.
    assert_eq!(serde_json::to_value(guard.inventory()).unwrap(), inventory);

    let policies = parsed(&ask(&app, 1, "/operator/policies").await);
    assert_eq!(policies["policies"][0]["name"], "op-of-policy");
    assert_eq!(policies["policies"][0]["on_error"], "open");

    let health = parsed(&ask(&app, 1, "/operator/health").await);
    assert_eq!((&health["is_good"], &health["cause"]), (&true.into(), &serde_json::Value::Null));
    assert_eq!(health["unanswered"]["open"], 0);
}
