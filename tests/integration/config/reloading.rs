//! Tests the effect of a changed file on counts, on requests that are being handled, and on log messages.

use std::{fs, sync::Arc, time::Duration};

use actix_rateguard::{
    Algorithm, Key, Limit, OnError, RateGuard, RateLimit, Request, StoreError,
    policies_file::Reloaded, rate_limit, test_util::FaultyStore,
};
use actix_web::{App, Responder, get, test::init_service, web};
use futures_util::future::join;
use tokio::sync::Notify;

use super::{with_polling, without_polling};
use crate::support::{
    app::{attribute_guard, get, set_attribute_guard, statuses},
    eventually,
    folder::Folder,
    log_lines,
    redis_server::RedisServer,
};

fn file(rate: &str) -> String {
    format!("[policies.search]\nrate = \"{rate}\"\nkey = \"ip\"\n")
}

#[get("/attribute")]
#[rate_limit(policy = "search", limiter = attribute_guard(), key = "global")]
async fn attribute() -> impl Responder {
    "ok"
}

#[actix_web::test]
async fn changed_limit_applies_immediately_to_existing_counts() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", &file("5/minute"));
    let guard = without_polling(&path).build().unwrap();
    let limit = RateLimit::new(&guard, Limit::policy("search"));
    let ok = || web::get().to(async || "ok");
    let app = app!(guard, attribute, web::resource("/middleware").wrap(limit).route(ok()));
    assert_eq!(statuses(&app, 1, "/attribute", 2).await, [200; 2]);
    assert_eq!(statuses(&app, 1, "/middleware", 2).await, [200; 2]);
    for (rate, url_path, expected) in [
        // The store has already counted four requests. With this limit, it therefore denies the next request.
        ("4/minute", "/attribute", vec![429, 429]),
        ("4/hour", "/middleware", vec![429]),
        ("6/minute", "/middleware", vec![200, 200, 429]),
        ("7/minute fixed_window", "/attribute", vec![200, 429]),
        ("7/minute token_bucket", "/attribute", vec![429]),
        ("8/minute", "/middleware", vec![200, 429]),
    ] {
        fs::write(&path, file(rate)).unwrap();
        assert_eq!(guard.reload_policies().unwrap(), Reloaded::Changed, "{rate}");
        assert_eq!(statuses(&app, 1, url_path, expected.len()).await, expected, "{rate}");
    }
    assert_eq!(guard.reload_policies().unwrap(), Reloaded::Unchanged);
    assert_eq!(guard.policies_file().unwrap().generation, 7);
}

/// Changes the limit and the algorithm of an exhausted limit 40 times. Asserts that the limit stays exhausted.
async fn assert_stays_full(guard: &RateGuard, path: &str) {
    let key = Key::from("user");
    let check = async || {
        let policy = guard.policy("search").unwrap();
        Request::check(&guard.request(&policy, &key)).await.unwrap().is_allowed()
    };
    for _ in 0..100 {
        assert!(check().await);
    }
    for round in 0..40 {
        let (_, algorithm) = Algorithm::NAMES[round % Algorithm::NAMES.len()];
        // While the limit is low, the store must not discard the units above this limit, because they count again
        // after the limit is raised.
        let limit = if round % 2 == 0 { 3 } else { 100 - round };
        fs::write(path, file(&format!("{limit}/365d {algorithm}"))).unwrap();
        assert_eq!(guard.reload_policies().unwrap(), Reloaded::Changed);
        assert!(!check().await, "{limit} {algorithm}");
    }
}

#[actix_web::test]
async fn reload_never_refills_a_full_limit() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", &file("100/365d"));
    assert_stays_full(&without_polling(&path).build().unwrap(), &path).await;
    let server = RedisServer::start();
    let path = folder.file("rateguard.toml", &file("100/365d"));
    let guard = RateGuard::redis(server.url())
        .prefix("test")
        .deadline(crate::support::TEST_TIMEOUT)
        .policies_file(&path)
        .policies_file_interval(Duration::ZERO)
        .for_attributes(false);
    assert_stays_full(&guard.build().unwrap(), &path).await;
}

/// Changes the file after the outer limit has admitted a request, and before the inner limit checks this request.
#[actix_web::test]
async fn request_in_flight_uses_its_initial_policies() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", &file("5/minute"));
    let guard = without_polling(&path).build().unwrap();
    set_attribute_guard(&guard);
    let (arrived, resume) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let wait = {
        let (arrived, resume) = (Arc::clone(&arrived), Arc::clone(&resume));
        actix_web::middleware::from_fn(
            move |request: actix_web::dev::ServiceRequest, next: actix_web::middleware::Next<_>| {
                let (arrived, resume) = (Arc::clone(&arrived), Arc::clone(&resume));
                async move {
                    arrived.notify_one();
                    resume.notified().await;
                    next.call(request).await
                }
            },
        )
    };
    let app = init_service(
        App::new()
            .app_data(guard.clone())
            .service(attribute)
            .wrap(wait)
            .wrap(RateLimit::new(&guard, Limit::new("100/minute").name("outer"))),
    )
    .await;
    let reload = async {
        arrived.notified().await;
        fs::write(&path, file("1/minute")).unwrap();
        guard.reload_policies().unwrap();
        resume.notify_one();
    };
    let (response, ()) = join(get(&app, 1, "/attribute"), reload).await;
    assert_eq!((response.status, response.numbers().unwrap()[0]), (200, 5));
    resume.notify_one();
    assert_eq!(get(&app, 1, "/attribute").await.status, 429);
}

#[actix_web::test]
async fn failure_mode_changes_on_reload() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", &file("5/minute"));
    let faults = FaultyStore::new(actix_rateguard::MemoryStore::new());
    let guard = without_polling(&path).store(faults.clone()).build().unwrap();
    let app = app!(guard, attribute);
    faults.fail(StoreError::Unreachable(None));
    assert_eq!(get(&app, 1, "/attribute").await.status, 200);
    for (on_error, of_policy, expected) in
        [("closed", "", 503), ("open", "on_error = \"closed\"", 503), ("open", "", 200)]
    {
        let text = format!("guard.on_error = \"{on_error}\"\n{}{of_policy}\n", file("5/minute"));
        fs::write(&path, text).unwrap();
        guard.reload_policies().unwrap();
        assert_eq!(get(&app, 1, "/attribute").await.status, expected);
    }
    assert!(!guard.policy("search").unwrap().on_error(OnError::Closed).name().is_empty());
}

#[test]
fn file_error_and_recovery_are_logged_once() {
    log_lines::collect();
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", &file("5/minute"));
    let guard = with_polling(&path).build().unwrap();
    let lines = |part: &str| {
        let lines = log_lines::with(&path);
        lines.into_iter().filter(|line| line.contains(part)).collect::<Vec<_>>()
    };
    fs::write(&path, "[policies.search]\nrate = \"5/minut\"\nkey = \"adress\"\n").unwrap();
    eventually("the file is rejected", || guard.policies_file().unwrap().error);
    for _ in 0..3 {
        // The guard has already logged this error. It must not log the error again, neither after a manual reload nor
        // because of polling.
        guard.reload_policies().unwrap_err();
        std::thread::sleep(Duration::from_millis(50));
    }
    let errors = lines("ERROR");
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("rateguard.toml:2:8: ") && errors[0].contains(":3:7: "));

    fs::write(&path, file("5/minute")).unwrap();
    eventually("the file is valid again", || {
        guard.policies_file().unwrap().error.is_none().then_some(())
    });
    assert_eq!(lines("matches the active policies again").len(), 1);
    fs::write(&path, file("6/minute")).unwrap();
    let generation = || (guard.policies_file().unwrap().generation == 2).then_some(());
    eventually("the file is applied", generation);
    assert_eq!(lines("are active").len(), 1);
}

#[test]
fn moved_quota_position_is_logged() {
    log_lines::collect();
    let folder = Folder::new();
    let path = folder.file("moved.toml", &file("100/minute"));
    let guard = without_polling(&path).build().unwrap();
    let change = |rate: &str| {
        fs::write(&path, file(rate)).unwrap();
        guard.reload_policies().unwrap();
        let lines = log_lines::with(&path);
        lines.into_iter().filter(|line| line.starts_with("WARN")).collect::<Vec<_>>()
    };
    assert_eq!(change("100/minute; 1000/day"), [""; 0]);
    assert_eq!(change("90/minute; 900/day"), [""; 0]);
    let warnings = change("5/second; 90/minute; 900/day");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("`search`: quota 90/minute moved from position 1 to 2"),
        "{warnings:?}"
    );
}

#[test]
fn candidate_enforced_without_counts_is_logged() {
    log_lines::collect();
    let folder = Folder::new();
    let path = folder.file("candidate.toml", &file("100/minute"));
    let guard = without_polling(&path).build().unwrap();
    let change = |candidate: &str| {
        fs::write(&path, file("100/minute") + candidate).unwrap();
        guard.reload_policies().unwrap();
        let lines = log_lines::with(&path);
        lines.into_iter().filter(|line| line.starts_with("WARN")).collect::<Vec<_>>()
    };
    assert_eq!(change("candidate = \"3/minute\"\n"), [""; 0]);
    assert_eq!(change("candidate = \"3/minute\"\nrollout = 10\n"), [""; 0]);
    assert_eq!(change(""), [""; 0]);
    let warnings = change("candidate = \"4/minute\"\nrollout = 10\n");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let expected = "`search`: the new candidate 4/minute is enforced for 10 % of the keys";
    assert!(warnings[0].contains(expected), "{warnings:?}");
}
