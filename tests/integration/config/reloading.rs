//! What a change of the file does to counts, requests under way, and the log.

use std::{fs, sync::Arc, time::Duration};

use actix_web::{App, Responder, get, test::init_service, web};
use futures_util::future::join;
use rateguard::{
    Algorithm, Key, OnError, RateGuard, RateLimit, Reloaded, Request, StoreError, rate_limit,
    test_util::FaultyStore,
};
use tokio::sync::Notify;

use super::{by_hand, watching};
use crate::support::{
    app::{get, statuses},
    eventually,
    folder::Folder,
    log_lines,
    redis_server::RedisServer,
};

fn file(rate: &str) -> String {
    format!("[policies.search]\nrate = \"{rate}\"\nkey = \"ip\"\n")
}

#[get("/attribute")]
#[rate_limit(policy = "search", key = "global")]
async fn attribute() -> impl Responder {
    "ok"
}

#[actix_web::test]
async fn a_limit_that_changes_is_in_force_at_once_and_has_counted() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", &file("5/minute"));
    let guard = by_hand(&path).build().unwrap();
    let limit = RateLimit::policy(&guard, "search");
    let ok = || web::get().to(async || "ok");
    let app = app!(guard, attribute, web::resource("/middleware").wrap(limit).route(ok()));
    assert_eq!(statuses(&app, 1, "/attribute", 2).await, [200; 2]);
    assert_eq!(statuses(&app, 1, "/middleware", 2).await, [200; 2]);
    for (rate, path_of, expected) in [
        // Four are counted, and every one that was admitted since.
        ("4/minute", "/attribute", vec![429, 429]),
        ("4/hour", "/middleware", vec![429]),
        ("6/minute", "/middleware", vec![200, 200, 429]),
        ("7/minute fixed_window", "/attribute", vec![200, 429]),
        ("7/minute token_bucket", "/attribute", vec![429]),
        ("8/minute", "/middleware", vec![200, 429]),
    ] {
        fs::write(&path, file(rate)).unwrap();
        assert_eq!(guard.reload_policies().unwrap(), Reloaded::Changed, "{rate}");
        assert_eq!(statuses(&app, 1, path_of, expected.len()).await, expected, "{rate}");
    }
    assert_eq!(guard.reload_policies().unwrap(), Reloaded::Unchanged);
    assert_eq!(guard.policies_file().unwrap().generation, 7);
}

/// Whatever it is changed to and back, a full limit is full.
async fn stays_full(guard: &RateGuard, path: &str) {
    let key = Key::from("somebody");
    let check = async || {
        let policy = guard.policy("search").unwrap();
        Request::check(&guard.request(&policy, &key)).await.unwrap().is_allowed()
    };
    for _ in 0..100 {
        assert!(check().await);
    }
    for round in 0..40 {
        let (_, algorithm) = Algorithm::NAMES[round % 4];
        // Limit and algorithm at once, far down and back: what was beyond the lower limit is not free under the higher one.
        let limit = if round % 2 == 0 { 3 } else { 100 - round };
        fs::write(path, file(&format!("{limit}/365d {algorithm}"))).unwrap();
        assert_eq!(guard.reload_policies().unwrap(), Reloaded::Changed);
        assert!(!check().await, "{limit} {algorithm}");
    }
}

#[actix_web::test]
async fn no_change_is_a_refill() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", &file("100/365d"));
    stays_full(&by_hand(&path).build().unwrap(), &path).await;
    let server = RedisServer::start();
    let path = folder.file("rateguard.toml", &file("100/365d"));
    let guard = RateGuard::redis(server.url())
        .deadline(crate::support::PATIENCE)
        .policies_file(&path)
        .policies_file_interval(Duration::ZERO)
        .for_attributes(false);
    stays_full(&guard.build().unwrap(), &path).await;
}

/// A guard whose requests through `/slow` wait between an outer and an inner limit.
#[actix_web::test]
async fn a_request_goes_on_with_what_it_has_begun_with() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", &file("5/minute"));
    let guard = by_hand(&path).build().unwrap();
    let (came, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let wait = {
        let (came, go) = (Arc::clone(&came), Arc::clone(&go));
        actix_web::middleware::from_fn(
            move |request: actix_web::dev::ServiceRequest, next: actix_web::middleware::Next<_>| {
                let (came, go) = (Arc::clone(&came), Arc::clone(&go));
                async move {
                    came.notify_one();
                    go.notified().await;
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
            .wrap(RateLimit::new(&guard, "100/minute").name("outer")),
    )
    .await;
    let reload = async {
        came.notified().await;
        fs::write(&path, file("1/minute")).unwrap();
        guard.reload_policies().unwrap();
        go.notify_one();
    };
    let (answer, ()) = join(get(&app, 1, "/attribute"), reload).await;
    assert_eq!((answer.status, answer.numbers().unwrap()[0]), (200, 5));
    go.notify_one();
    assert_eq!(get(&app, 1, "/attribute").await.status, 429);
}

#[actix_web::test]
async fn what_happens_without_an_answer_changes_too() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", &file("5/minute"));
    let faults = FaultyStore::new(rateguard::MemoryStore::new());
    let guard = by_hand(&path).store(faults.clone()).build().unwrap();
    let app = app!(guard, attribute);
    faults.fail(StoreError::Unreachable);
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
fn what_is_wrong_is_said_once_and_so_is_what_is_right_again() {
    log_lines::collect();
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", &file("5/minute"));
    let guard = watching(&path).build().unwrap();
    let lines = |part: &str| {
        let lines = log_lines::with(&path);
        lines.into_iter().filter(|line| line.contains(part)).collect::<Vec<_>>()
    };
    fs::write(&path, "[policies.search]\nrate = \"5/minut\"\nkey = \"adress\"\n").unwrap();
    eventually("it is refused", || guard.policies_file().unwrap().error);
    for _ in 0..3 {
        // Neither who asks by hand nor who looks on says it again.
        guard.reload_policies().unwrap_err();
        std::thread::sleep(Duration::from_millis(50));
    }
    let refused = lines("ERROR");
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].contains("rateguard.toml:2:8: ") && refused[0].contains(":3:7: "));

    fs::write(&path, file("5/minute")).unwrap();
    eventually("it is as it was", || guard.policies_file().unwrap().error.is_none().then_some(()));
    assert_eq!(lines("says again what is in force").len(), 1);
    fs::write(&path, file("6/minute")).unwrap();
    let generation = || (guard.policies_file().unwrap().generation == 2).then_some(());
    eventually("it is in force", generation);
    assert_eq!(lines("INFO what").len(), 1);
}

#[test]
fn a_quota_that_moves_in_its_list_is_said() {
    log_lines::collect();
    let folder = Folder::new();
    let path = folder.file("moved.toml", &file("100/minute"));
    let guard = by_hand(&path).build().unwrap();
    let change = |rate: &str| {
        fs::write(&path, file(rate)).unwrap();
        guard.reload_policies().unwrap();
        let lines = log_lines::with(&path);
        lines.into_iter().filter(|line| line.starts_with("WARN")).collect::<Vec<_>>()
    };
    assert_eq!(change("100/minute; 1000/day"), [""; 0]);
    assert_eq!(change("90/minute; 900/day"), [""; 0]);
    let said = change("5/second; 90/minute; 900/day");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("`search`: 90/minute was quota 1 and is now quota 2"), "{said:?}");
}

#[test]
fn a_candidate_that_is_enforced_before_it_has_counted_is_said() {
    log_lines::collect();
    let folder = Folder::new();
    let path = folder.file("candidate.toml", &file("100/minute"));
    let guard = by_hand(&path).build().unwrap();
    let change = |tried: &str| {
        fs::write(&path, file("100/minute") + tried).unwrap();
        guard.reload_policies().unwrap();
        let lines = log_lines::with(&path);
        lines.into_iter().filter(|line| line.starts_with("WARN")).collect::<Vec<_>>()
    };
    assert_eq!(change("shadow = \"3/minute\"\n"), [""; 0]);
    assert_eq!(change("shadow = \"3/minute\"\nrollout = 10\n"), [""; 0]);
    assert_eq!(change(""), [""; 0]);
    let said = change("shadow = \"4/minute\"\nrollout = 10\n");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("`search`: the candidate 4/minute is new"), "{said:?}");
    assert!(said[0].contains("so 10 % of the keys have all of it left"), "{said:?}");
}
