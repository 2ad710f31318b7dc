//! Tests that the settings in a policies file override the settings of limits in code.

use std::time::Duration;

use actix_rateguard::{
    Caller, Count, Key, Limit, MissingKey, OnError, Policy, RateGuard, RateLimit, key, rate_limit,
    test_util::FaultyStore,
};
use actix_web::{HttpRequest, Responder, get, test::TestRequest, web};

use super::without_polling;
use crate::support::{
    app::{attribute_guard, from_client, get, send, statuses},
    folder::Folder,
};

fn guard_of(text: &str) -> RateGuard {
    let folder = Folder::new();
    without_polling(folder.file("rateguard.toml", text)).build().unwrap()
}

/// A key function that the guard must not call, because the file sets a different key.
fn unused_key(_: &HttpRequest) -> Caller {
    panic!("the file sets another key")
}

#[get("/attribute")]
#[rate_limit(policy = "search", limiter = attribute_guard(), key = unused_key, cost = |_: &HttpRequest| 100, count = "failure", methods = "PATCH", missing_key = "deny")]
async fn attribute() -> impl Responder {
    "ok"
}

#[get("/plain")]
#[rate_limit(policy = "search", limiter = attribute_guard(), key = "header:X-User", cost = 2)]
async fn plain() -> impl Responder {
    "ok"
}

/// Creates an application with an attribute and a middleware. None of their settings is equal to a setting in the
/// file.
macro_rules! overridden_app {
    ($guard:expr) => {{
        let overridden = RateLimit::new(
            &$guard,
            Limit::policy("search")
                .key(unused_key)
                .cost(|_: &HttpRequest| 100)
                .count(Count::Failure)
                .methods([actix_web::http::Method::PATCH])
                .missing_key(MissingKey::Deny),
        );
        let from_code =
            RateLimit::new(&$guard, Limit::policy("search").key(key::header("X-User")).cost(2));
        let ok = || web::get().to(async || "ok");
        app!(
            $guard,
            attribute,
            plain,
            web::resource("/middleware").wrap(overridden).route(ok()),
            web::resource("/plain-middleware").wrap(from_code).route(ok()),
        )
    }};
}

#[actix_web::test]
async fn file_settings_override_limit_settings() {
    let text = r#"
        [policies.search]
        limit = 6
        window = 60
        key = "header:X-Api-Key"
        missing_key = "skip"
        cost = 3
        count = "all"
        methods = "GET, POST"
    "#;
    for path in ["/attribute", "/middleware"] {
        let guard = guard_of(text);
        let app = overridden_app!(guard);
        let mut remaining = Vec::new();
        for _ in 0..3 {
            let request = TestRequest::get().uri(path).insert_header(("X-Api-Key", "one"));
            let response = send(&app, from_client(1, request)).await;
            remaining.push((response.status, response.numbers().unwrap()[1]));
        }
        assert_eq!(remaining, [(200, 3), (200, 0), (429, 0)], "{path}");
        // A request without the header has no key, so the limit does not apply to it.
        assert_eq!(get(&app, 1, path).await.numbers(), None, "{path}");
    }
}

#[actix_web::test]
async fn settings_missing_in_the_file_come_from_the_limit() {
    for path in ["/plain", "/plain-middleware"] {
        let guard = guard_of("[policies.search]\nrate = \"6/minute; 100/hour\"\n");
        let app = overridden_app!(guard);
        let mut remaining = Vec::new();
        for user in ["ann", "ann", "bob"] {
            let request = TestRequest::get().uri(path).insert_header(("X-User", user));
            remaining.push(send(&app, from_client(1, request)).await.numbers().unwrap()[1]);
        }
        assert_eq!(remaining, [4, 2, 4], "{path}");
    }
}

#[actix_web::test]
async fn methods_not_listed_in_the_file_are_not_limited() {
    let guard = guard_of(
        "[policies.search]\nrate = \"1/minute\"\nkey = \"ip\"\ncost = 1\nmethods = \"POST\"\n",
    );
    let app = overridden_app!(guard);
    for path in ["/attribute", "/middleware"] {
        assert_eq!(statuses(&app, 1, path, 3).await, [200; 3], "{path}");
    }
}

#[actix_web::test]
async fn file_accepts_every_quota_notation() {
    for (text, expected) in [
        ("rate = \"5/second; 100/minute\"", "5/second; 100/minute"),
        ("limit = 5\nwindow = 60", "5/minute"),
        ("limit = 5\nwindow = \"500ms\"", "5/500 milliseconds"),
        ("limit = 0x10\nwindow = \"1d\"", "16/day"),
        ("rate = \"5/m\"\nalgorithm = \"fixed_window\"", "5/minute fixed_window"),
        (
            "limit = 5\nwindow = 1\nalgorithm = \"token_bucket\"\nburst = 20",
            "5/second token_bucket burst 20",
        ),
        ("rate = \"5/s token_bucket\"\nburst = 20", "5/second token_bucket burst 20"),
    ] {
        let guard = guard_of(&format!("[policies.\"a/b\"]\n{text}\n"));
        assert_eq!(guard.policy("a/b").unwrap().quotas().to_string(), expected);
    }
}

#[actix_web::test]
async fn file_sets_bans_and_failure_modes() {
    let folder = Folder::new();
    let text = r#"
        guard.on_error = "closed"
        [policies]
        strict.rate = "1/minute"
        lenient = { rate = "1/minute", on_error = "open" }
        [policies.banning]
        rate = "1/hour"
        ban = "2/hour for 3h"
    "#;
    let faults = FaultyStore::new(actix_rateguard::MemoryStore::new());
    let path = folder.file("rateguard.toml", text);
    let guard =
        without_polling(path).store(faults.clone()).on_error(OnError::Open).build().unwrap();
    let key = Key::global();
    let policy = |name| guard.policy(name).unwrap();
    let banning = policy("banning");
    for _ in 0..3 {
        guard.check(&banning, &key).await.unwrap();
    }
    let ban = guard.check(&banning, &key).await.unwrap().banned_for().unwrap();
    assert!(ban.as_secs() > 3_600);
    faults.fail(actix_rateguard::StoreError::Unreachable(None));
    assert!(!guard.allows(&policy("strict"), &key).await);
    assert!(guard.allows(&policy("lenient"), &key).await);
    assert!(!guard.allows(&Policy::new("own", "1/minute").unwrap(), &key).await);
}

#[actix_web::test]
async fn file_exemptions_override_program_exemptions() {
    let text = r#"
        [access]
        allow_addresses = ["192.0.2.1", "192.0.2.128/25"]
        deny_addresses = ["192.0.2.2"]
        allow_keys = [{ key = "header:X-User", value = "ann" }]
        deny_keys = [{ key = "header:X-User", value = "eve" }]
        [policies.search]
        rate = "1/minute"
        key = "header:X-User"
        cost = 1
        count = "all"
        methods = "GET"
    "#;
    let folder = Folder::new();
    let from_code = actix_rateguard::AccessList::new()
        .deny_addresses(["192.0.2.1"])
        .and_then(|list| list.allow_addresses(["192.0.2.2", "192.0.2.3"]))
        .unwrap();
    let guard =
        without_polling(folder.file("rateguard.toml", text)).access(from_code).build().unwrap();
    let app = overridden_app!(guard);
    for (client, user, expected) in [
        (1, "x", [200, 200]),
        (200, "y", [200, 200]),
        (2, "z", [403, 403]),
        (3, "z", [200, 200]),
        (4, "ann", [200, 200]),
        (4, "eve", [403, 403]),
        (4, "bob", [200, 429]),
    ] {
        let mut statuses = Vec::new();
        for path in ["/attribute", "/middleware"] {
            let request = TestRequest::get().uri(path).insert_header(("X-User", user));
            statuses.push(send(&app, from_client(client, request)).await.status);
        }
        assert_eq!(statuses, expected, "{client} {user}");
    }
}

#[actix_web::test]
async fn file_sets_guard_settings() {
    let text = r#"
        [guard]
        deadline = "2s"
        fail_closed_after = "10m"
        max_in_flight = 100
        denial_cache_ttl = "5s"
        replicas = 3
        overrides = true
        headers = ["x-ratelimit", "draft"]
        retry_jitter = 0
        rejection_body = "problem_details"

        [guard.client_address]
        behind = ["192.0.2.0/24"]
        header = "X-Real-IP"
        ipv6_prefix = 56
        trust_unix_sockets = true

        [policies.search]
        rate = "3/minute"
        key = "ip"
        cost = 1
        count = "all"
        methods = "GET"
    "#;
    let folder = Folder::new();
    let faults = FaultyStore::new(actix_rateguard::MemoryStore::new());
    let guard =
        without_polling(folder.file("rateguard.toml", text)).store(faults.clone()).build().unwrap();
    assert!(format!("{guard:?}").contains("deadline: 2s"), "{guard:?}");
    let app = overridden_app!(guard);
    let request = |client: &'static str| {
        let request = TestRequest::get().uri("/attribute").insert_header(("X-Real-IP", client));
        from_client(1, request)
    };
    let response = send(&app, request("2001:db8:0:ab01::1")).await;
    assert_eq!(response.numbers(), Some([3, 2, 60]));
    assert_eq!(response.header("ratelimit"), Some("\"search\";r=2;t=60"));
    assert_eq!(send(&app, request("2001:db8:0:abff::2")).await.numbers().unwrap()[1], 1);
    send(&app, request("2001:db8:0:abff::2")).await;
    let denied = send(&app, request("2001:db8:0:abff::2")).await;
    assert_eq!(
        (denied.status, denied.header("content-type")),
        (429, Some("application/problem+json"))
    );
    let search = guard.policy("search").unwrap();
    let (key, minute) = (Key::global(), Duration::from_secs(60));
    assert_eq!(guard.set_override(&search, &key, "9/minute", minute).await, Ok(()));
    // With 3 replicas of the application server, each server may admit 1 of 3 units in memory while the store is down.
    faults.fail(actix_rateguard::StoreError::Unreachable(None));
    let local = Policy::new("local", "3/minute").unwrap().on_error(OnError::Local);
    assert!(guard.allows(&local, &key).await && !guard.allows(&local, &key).await);
}

#[test]
fn file_without_settings_changes_nothing() {
    let folder = Folder::new();
    let search = Policy::new("search", "5/minute").unwrap();
    let path = folder.file("rateguard.toml", "# nothing yet\n");
    let guard = without_polling(path).policy(search.clone()).build().unwrap();
    assert_eq!(guard.policy("search"), Some(search));
    assert_eq!(guard.policy("login"), None);
    assert_eq!(guard.policies_file().unwrap().generation, 1);
    assert!(RateGuard::in_memory().policies_file().is_none());
}
