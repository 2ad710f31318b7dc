//! Tests limits that would share their counts by accident, such as two limits with the same name. The application must
//! reject such limits when it starts.

use std::{panic::Location, time::Duration};

use actix_rateguard::{
    Limit, Policy, Quotas, RateGuard, RateLimit, error::PolicyError, rate_limit,
};
use actix_web::{App, get, test::init_service, web};

use crate::support::{app::statuses, log_lines, redis_server::free_port};

#[actix_web::test]
#[should_panic(expected = "have no name and would share their counts as `app`")]
async fn two_limits_without_a_name_panic() {
    let guard = RateGuard::in_memory();
    let inner = web::scope("/api").wrap(RateLimit::new(&guard, "1/minute"));
    init_service(App::new().service(inner).wrap(RateLimit::new(&guard, "1/minute"))).await;
}

#[actix_web::test]
#[should_panic(expected = "two limits are named `api` but have different quotas")]
async fn two_quotas_under_one_name_panic() {
    let guard = RateGuard::in_memory();
    let limit = |quota| RateLimit::new(&guard, Limit::new(quota).name("api"));
    init_service(App::new().wrap(limit("1/minute")).wrap(limit("2/minute"))).await;
}

#[actix_web::test]
async fn name_conflict_message_contains_both_locations() {
    let guard = RateGuard::in_memory();
    let (one, location) = (RateLimit::new(&guard, "1/minute"), Location::caller());
    let error = RateLimit::try_new(&guard, "1/minute").unwrap_err();
    drop(one);
    let message = error.to_string();
    assert!(message.contains(&format!("names.rs:{}:", location.line())), "{message}");
    assert!(message.contains(&format!("names.rs:{}:", location.line() + 1)), "{message}");
}

#[actix_web::test]
async fn middleware_that_exists_reserves_its_name_until_it_is_dropped() {
    let guard = RateGuard::in_memory();
    let limit = |quota| RateLimit::try_new(&guard, Limit::new(quota).name("reserved"));
    let first = limit("1/minute").unwrap();
    let error = limit("2/minute").unwrap_err().to_string();
    assert!(
        error.starts_with("two limits are named `reserved` but have different quotas"),
        "{error}"
    );
    assert!(limit("1/minute").is_ok());
    // A clone owns the name, too.
    let clone = first.clone();
    drop(first);
    assert!(limit("2/minute").is_err());
    // No worker has started it, so the name is free again.
    drop(clone);
    let second = limit("2/minute").unwrap();
    // After a worker has started it, the name stays reserved.
    drop(init_service(App::new().wrap(second)).await);
    assert!(limit("1/minute").is_err());
    assert!(limit("2/minute").is_ok());
}

#[test]
fn policy_with_invalid_name_or_quota_is_rejected() {
    for name in ["", "a b", "a{b}", "line\nbreak", "right\u{202e}to-left"] {
        assert!(matches!(Policy::new(name, "1/minute"), Err(PolicyError::Name(_))), "{name:?}");
    }
    for quota in ["", "0/minute", "1/year", "1/366d", "2147483649/s"] {
        assert!(matches!(Policy::new("name", quota), Err(PolicyError::Quota(_))), "{quota:?}");
    }
}

#[test]
fn debug_of_an_error_is_its_sentence() {
    let name = Policy::new("log in", "1/second").unwrap_err();
    let rate = "5/fortnight".parse::<Quotas>().unwrap_err();
    let deadline = RateGuard::redis("redis://127.0.0.1")
        .prefix("test")
        .deadline(Duration::ZERO)
        .build()
        .unwrap_err();
    for (debug, display) in [
        (format!("{name:?}"), name.to_string()),
        (format!("{rate:?}"), rate.to_string()),
        (format!("{deadline:?}"), deadline.to_string()),
    ] {
        assert_eq!(debug, display);
    }
}

#[get("/replaced")]
#[rate_limit(rate = "5/minute", name = "replaced")]
async fn replaced() -> &'static str {
    "ok"
}

#[actix_web::test]
async fn name_is_checked_again_for_a_guard_that_replaces_a_dropped_guard() {
    // The allocator often puts a new guard at the address of the dropped guard, so a single round could pass by chance.
    for _ in 0..20 {
        let guard = || RateGuard::builder().for_attributes(false).build().unwrap();
        let first = guard();
        let app = App::new().app_data(first.clone()).service(replaced);
        assert_eq!(statuses(&init_service(app).await, 1, "/replaced", 1).await, [200]);
        drop(first);
        let second = guard();
        let limit = RateLimit::new(&second, Limit::new("2/minute").name("replaced"));
        let app = App::new().app_data(second.clone()).wrap(limit).service(replaced);
        // The quotas differ, so the attribute must not share counts with the middleware.
        assert_eq!(statuses(&init_service(app).await, 1, "/replaced", 1).await, [500]);
    }
}

/// Starts an application whose limit has no name. The limit counts in a server that does not exist.
async fn start_with_unnamed_limit(url: &str, prefix: &str) -> RateGuard {
    let guard = RateGuard::redis(url).prefix(prefix).build().unwrap();
    init_service(App::new().wrap(RateLimit::new(&guard, "4/minute"))).await;
    guard
}

#[actix_web::test]
async fn unnamed_limits_of_two_guards_on_one_server_are_one_warning() {
    log_lines::collect();
    let address = format!("127.0.0.1:{}", free_port());
    let url = format!("redis://:s3cret@{address}/2");
    let warnings = |prefix: &str| {
        let all = log_lines::with("two guards of this process count in").into_iter();
        let prefix = format!("Redis at {address}, database 2 with the prefix `{prefix}`");
        all.filter(|line| line.contains(&prefix)).collect::<Vec<_>>()
    };
    // A guard that replaces a dropped guard, a clone, and a guard with another prefix are no mistakes.
    drop(start_with_unnamed_limit(&url, "one").await);
    let first = start_with_unnamed_limit(&url, "one").await;
    init_service(App::new().wrap(RateLimit::new(&first, Limit::new("9/minute").name("named"))))
        .await;
    let _other = start_with_unnamed_limit(&url, "two").await;
    assert_eq!(warnings("one"), Vec::<String>::new());
    let _second = start_with_unnamed_limit(&url, "one").await;
    let _third = start_with_unnamed_limit(&url, "one").await;
    let found = warnings("one");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("WARN ") && found[0].contains("names.rs:"), "{found:?}");
    assert!(found[0].contains("Give each limit a name") && !found[0].contains("s3cret"));
    assert_eq!(warnings("two"), Vec::<String>::new());
}
