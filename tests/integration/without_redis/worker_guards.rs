//! Tests the warning about a guard that each worker of a server builds.

use std::{collections::BTreeSet, thread};

use actix_rateguard::RateGuard;
use actix_web::web::ServiceConfig;

use crate::support::{
    log_lines,
    redis_server::free_port,
    server::{Server, get},
};

/// Starts a server with two workers, and waits until both have called `configure`.
fn start(configure: impl Fn(&mut ServiceConfig) + Clone + Send + 'static) -> Server {
    let server = Server::start(configure);
    // The server accepts connections only after all of its workers have started.
    assert_eq!(get(&server.url("/")).status, 404);
    server
}

/// Returns the warnings about guards that this file builds.
fn warnings() -> Vec<String> {
    let all = log_lines::with(
        "WARN several workers of a server (or `Arbiter`s) have each built a guard of their own at",
    )
    .into_iter();
    let all = all.filter(|line| line.contains("worker_guards.rs:"));
    all.filter(|line| !line.contains("On a server")).collect()
}

/// Builds a guard on a thread with the name of a worker's thread, and waits until the thread has ended.
fn guard_of_a_worker() -> (RateGuard, u32) {
    let worker = thread::Builder::new().name("actix-server worker 0".to_owned());
    let worker = worker.spawn(|| (RateGuard::in_memory(), line!())).unwrap();
    worker.join().unwrap()
}

#[test]
fn worker_that_replaces_a_crashed_worker_is_not_warned_about() {
    log_lines::collect();
    for _ in 0..2 {
        let (guard, line) = guard_of_a_worker();
        drop(guard);
        assert_eq!(log_lines::with(&format!("worker_guards.rs:{line}:")), Vec::<String>::new());
    }
}

#[test]
fn warning_about_guards_on_redis_says_that_they_share_their_counts() {
    log_lines::collect();
    let url = format!("redis://127.0.0.1:{}", free_port());
    let _server = start(move |app| {
        app.app_data(RateGuard::redis(&url).prefix("workers").build().unwrap());
    });
    let effect =
        "On a server, the guards share their counts, but each worker opens its own connections";
    let all = log_lines::with(effect);
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(all[0].contains("worker_guards.rs:") && !all[0].contains("In memory"), "{all:?}");
}

#[test]
fn only_a_guard_that_each_worker_builds_is_warned_about_once() {
    log_lines::collect();
    let guard = RateGuard::in_memory();
    let _servers = [(); 2].map(|()| {
        let guard = guard.clone();
        start(move |app| {
            app.app_data(guard.clone());
        })
    });
    let threads = [(); 2].map(|()| thread::spawn(|| drop(RateGuard::in_memory())));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(warnings(), Vec::<String>::new());

    // The second server makes the same mistake at the same place.
    let _servers = [(); 2].map(|()| {
        start(|app| {
            app.app_data(RateGuard::in_memory());
        })
    });
    let _server = start(|app| {
        app.app_data(RateGuard::builder().build().unwrap());
    });
    let found = warnings();
    let places: BTreeSet<_> = found.iter().collect();
    assert_eq!((found.len(), places.len()), (2, 2), "{found:?}");
    assert!(found[0].contains("Build the guard before `HttpServer::new`"), "{found:?}");
    let effect = ". In memory, each guard counts only the requests of its own worker";
    assert!(found.iter().all(|line| line.contains(effect)), "{found:?}");
}
