//! Tests limits that would share their counts by accident, such as two limits with the same name. The application must
//! reject such limits when it starts.

use std::{panic::Location, time::Duration};

use actix_rateguard::{
    Limit, Policy, Quotas, RateGuard, RateLimit, error::PolicyError, rate_limit,
};
use actix_web::{App, get, test::init_service, web};

use crate::support::app::statuses;

#[actix_web::test]
#[should_panic(expected = "have no name and would share their counts as `app`")]
async fn two_limits_without_a_name_panic() {
    let guard = RateGuard::in_memory();
    let inner = web::scope("/api").wrap(RateLimit::new(&guard, "1/minute"));
    init_service(App::new().service(inner).wrap(RateLimit::new(&guard, "1/minute"))).await;
}

#[actix_web::test]
#[should_panic(expected = "two limits are named `api` and have different quotas")]
async fn two_quotas_under_one_name_panic() {
    let guard = RateGuard::in_memory();
    let limit = |quota| RateLimit::new(&guard, Limit::new(quota).name("api"));
    init_service(App::new().wrap(limit("1/minute")).wrap(limit("2/minute"))).await;
}

#[actix_web::test]
async fn name_conflict_message_contains_both_locations() {
    let guard = RateGuard::in_memory();
    let (one, location) = (RateLimit::new(&guard, "1/minute"), Location::caller());
    let other = RateLimit::new(&guard, "1/minute");
    let start = std::panic::AssertUnwindSafe(async {
        init_service(App::new().wrap(one).wrap(other)).await;
    });
    let panic = futures_util::FutureExt::catch_unwind(start).await.unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains(&format!("names.rs:{}:", location.line())), "{message}");
    assert!(message.contains(&format!("names.rs:{}:", location.line() + 1)), "{message}");
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
    let deadline =
        RateGuard::redis("redis://127.0.0.1").deadline(Duration::ZERO).build().unwrap_err();
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
        let first = RateGuard::in_memory();
        assert_eq!(statuses(&app!(first.clone(), replaced), 1, "/replaced", 1).await, [200]);
        drop(first);
        let second = RateGuard::in_memory();
        let limit = RateLimit::new(&second, Limit::new("2/minute").name("replaced"));
        let app = App::new().app_data(second.clone()).wrap(limit).service(replaced);
        // The quotas differ, so the attribute must not share counts with the middleware.
        assert_eq!(statuses(&init_service(app).await, 1, "/replaced", 1).await, [500]);
    }
}
