//! Tests servers and processes with a mistake in their set-up. The error and the log must name the cause, and each cause
//! has its own text.

use std::time::Duration;

use actix_rateguard::{Key, OnError, Policy, RateGuard, StoreError};

use crate::support::{
    TEST_TIMEOUT, eventually, folder::Folder, log_lines, process::output_of_forked_worker,
    redis_server::RedisServer, rest_server::RestServer, shim::Fork,
};

async fn cause(guard: &RateGuard) -> Option<StoreError> {
    let policy = Policy::new("p", "1000000/hour").unwrap();
    let result = guard.check(&policy, &Key::global()).await;
    result.err().map(|unavailable| unavailable.cause())
}

/// Starts a server that has no command with this name.
fn start_without(command: &str) -> (RedisServer, Folder) {
    let folder = Folder::new();
    let settings = folder.file("redis.conf", &format!("rename-command {command} \"\"\n"));
    (RedisServer::start_with(&[&settings]), folder)
}

#[tokio::test]
async fn each_mistake_has_its_own_cause_in_the_error_and_in_the_log() {
    log_lines::collect();
    let [no_evalsha, no_eval, no_time, no_cluster] =
        ["EVALSHA", "EVAL", "TIME", "CLUSTER"].map(start_without);
    let plain = RedisServer::start();
    let url = |server: &RedisServer| server.url();
    let cluster = |server: &RedisServer| server.url().replace("redis:", "redis+cluster:");
    let sentinel =
        |server: &RedisServer| server.url().replace("redis:", "redis+sentinel:") + "/main";
    for (server, url, expected, advice) in [
        (&no_evalsha.0, url(&no_evalsha.0), StoreError::UnknownCommand, "enable EVALSHA, EVAL"),
        (&no_eval.0, url(&no_eval.0), StoreError::UnknownCommand, "enable EVALSHA, EVAL"),
        (&no_time.0, url(&no_time.0), StoreError::UnknownCommand, "such as TIME"),
        (&no_cluster.0, cluster(&no_cluster.0), StoreError::UnknownCommand, "lacks a command"),
        (&plain, cluster(&plain), StoreError::WrongServerKind, "use redis:// for a single"),
        (&plain, sentinel(&plain), StoreError::WrongServerKind, "use redis:// for a single"),
        (&plain, format!("{}/99", plain.url()), StoreError::Database, "has no database"),
    ] {
        let builder = RateGuard::redis(url).prefix("test").deadline(TEST_TIMEOUT);
        let guard = builder.on_error(OnError::Open).build().unwrap();
        assert_eq!(cause(&guard).await, Some(expected), "{advice}");
        let address = format!("127.0.0.1:{}", server.port());
        let lines = log_lines::with("WARN store check failed (Redis at ");
        let mut lines = lines.iter().filter(|line| line.contains(&address));
        let end = "; 1 check failed since the last message of this kind; the failure mode `open` admits the request";
        assert!(lines.any(|it| it.contains(advice) && it.ends_with(end)), "{advice}: {lines:?}");
    }
}

#[tokio::test]
async fn server_without_scripts_is_down_and_fails_closed() {
    let (server, _folder) = start_without("EVALSHA");
    let builder = server.settings("test").deadline(TEST_TIMEOUT).on_error(OnError::Open);
    let guard = builder.fail_closed_after(Duration::ZERO).build().unwrap();
    let policy = Policy::new("p", "1000000/hour").unwrap();
    let error = guard.check(&policy, &Key::global()).await.unwrap_err();
    assert!(!error.lets_pass());
    assert_eq!(guard.failures().closed, 1);
}

#[tokio::test]
async fn failure_line_names_the_upstash_server() {
    log_lines::collect();
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let guard = rest.settings("test").deadline(TEST_TIMEOUT).build().unwrap();
    assert_eq!(cause(&guard).await, None);
    let port = rest.port();
    drop(rest);
    eventually("the guard is unhealthy", || (!guard.health().is_good()).then_some(()));
    assert!(cause(&guard).await.is_some());
    let server = format!("WARN store check failed (Upstash at 127.0.0.1:{port}): the ");
    assert!(!log_lines::with(&server).is_empty());
}

#[test]
fn forked_process_reports_the_fork() {
    let Some(fork) = Fork::new() else { return };
    let server = RedisServer::start();
    let output = output_of_forked_worker(&fork.wrapper(), &server.url());
    assert_eq!(output, "Err(Forked) Some(Forked)\n");
}

#[tokio::test(start_paused = true)]
async fn paused_clock_is_reported() {
    log_lines::collect();
    let server = RedisServer::start();
    let guard = server.guard("test");
    // The server sends no reply, so only the paused clock can end the check.
    server.freeze();
    assert_eq!(cause(&guard).await, Some(StoreError::PausedClock));
    let address = format!("127.0.0.1:{}", server.port());
    let lines = log_lines::with("the clock of tokio is paused");
    assert!(lines.iter().any(|line| line.contains(&address)), "{lines:?}");
    // The breaker does not count this error, and the guard recovers with the clock.
    server.thaw();
    tokio::time::resume();
    assert_eq!(cause(&guard).await, None);
}
