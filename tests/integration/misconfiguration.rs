//! Tests servers and processes with a mistake in their set-up. The error and the log must name the cause, and each cause
//! has its own text.

use std::time::{Duration, Instant};

use actix_rateguard::{Key, OnError, Policy, RateGuard, StoreError};

use crate::support::{
    TEST_TIMEOUT, eventually,
    folder::Folder,
    log_lines,
    process::output_of_forked_worker,
    redis_server::{RedisServer, run},
    rest_server::RestServer,
    shim::Fork,
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

/// Creates the user `limiter` with these permissions. Returns the URL.
fn url_with_permissions(server: &RedisServer, permissions: &str) -> String {
    let acl = format!("ACL SETUSER limiter reset on >hunter2 {permissions}");
    run::<()>(&mut server.client(), &acl);
    format!("redis://limiter:hunter2@127.0.0.1:{}", server.port())
}

/// The minimum permissions in `docs/redis.md`.
const PERMISSIONS: &str = "~test:* +evalsha +eval +time +type +del +pexpire +pttl +getrange +setrange +set +append +strlen +role";

#[test]
fn script_that_cannot_run_is_logged_at_start_and_in_the_health() {
    log_lines::collect();
    let [no_evalsha, no_eval, no_time] = ["EVALSHA", "EVAL", "TIME"].map(start_without);
    let servers = [(); 6].map(|()| RedisServer::start());
    let [evalsha, eval, time, keys, getrange, empty] = &servers;
    let without = |server, command: &str| {
        url_with_permissions(server, &PERMISSIONS.replace(&format!(" +{command} "), " "))
    };
    let (unknown, denied) = (StoreError::UnknownCommand, StoreError::Permission);
    for (server, url, cause, reason) in [
        (&no_evalsha.0, no_evalsha.0.url(), unknown, "lacks the command EVALSHA"),
        (&no_eval.0, no_eval.0.url(), unknown, "lacks the command EVAL;"),
        (&no_time.0, no_time.0.url(), unknown, "lacks a command that RateGuard needs"),
        (evalsha, without(evalsha, "evalsha"), denied, "EVALSHA; add `+evalsha` to its ACL"),
        (eval, without(eval, "eval"), denied, "the command EVAL; add `+eval`"),
        (time, without(time, "time"), denied, "the command TIME; add `+time`"),
        (
            keys,
            url_with_permissions(keys, &PERMISSIONS.replace("test", "shop")),
            denied,
            "keys with the prefix `test`; add `~test:*`",
        ),
        (
            getrange,
            without(getrange, "getrange"),
            denied,
            "add `+getrange` to its ACL|compare its ACL with `~test:* +evalsha",
        ),
        (empty, url_with_permissions(empty, "~* +role"), denied, "EVALSHA; add `+evalsha`"),
    ] {
        let guard = RateGuard::redis(url).prefix("test").build().unwrap();
        let address = format!("ERROR connected to Redis at 127.0.0.1:{}", server.port());
        let line = eventually("the message is logged", || log_lines::with(&address).pop());
        assert!(line.contains("but this server cannot run the script of the limits: "), "{line}");
        assert!(reason.split('|').any(|reason| line.contains(reason)), "{reason}: {line}");
        assert!(!line.contains("hunter2"), "{line}");
        // No check has failed.
        assert_eq!(guard.health().cause(), Some(cause), "{reason}");
        assert_eq!(guard.failures().open, 0);
    }
}

#[tokio::test]
async fn health_recovers_without_a_check_when_the_permission_is_added() {
    log_lines::collect();
    let server = RedisServer::start();
    let url = url_with_permissions(&server, "~other:* +@all");
    let guard = RateGuard::redis(url).prefix("test").deadline(TEST_TIMEOUT).build().unwrap();
    let is_denied = || (guard.health().cause() == Some(StoreError::Permission)).then_some(());
    eventually("the guard reports the cause", is_denied);
    url_with_permissions(&server, PERMISSIONS);
    eventually("the guard is healthy", || guard.health().is_good().then_some(()));
    let address = format!("INFO Redis at 127.0.0.1:{} runs the script", server.port());
    eventually("the end is logged", || log_lines::with(&address).pop());
    assert_eq!(cause(&guard).await, None);
}

#[tokio::test]
async fn permission_that_only_checks_need_is_in_the_health_after_the_first_failure() {
    let server = RedisServer::start();
    let url = url_with_permissions(&server, &PERMISSIONS.replace(" +set ", " "));
    let guard = RateGuard::redis(url).prefix("test").deadline(TEST_TIMEOUT).build().unwrap();
    eventually("the guard has connected", || guard.health().is_good().then_some(()));
    // The guard tests the script at the start, which may still be in progress.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(cause(&guard).await, Some(StoreError::Permission));
    assert_eq!(guard.health().cause(), Some(StoreError::Permission));
}

#[test]
fn user_without_role_is_warned_about() {
    log_lines::collect();
    let server = RedisServer::start();
    let url = url_with_permissions(&server, &PERMISSIONS.replace(" +role", ""));
    let guard = RateGuard::redis(url).prefix("test").build().unwrap();
    let start = format!("WARN connected to Redis at 127.0.0.1:{}", server.port());
    let line = eventually("the warning is logged", || log_lines::with(&start).pop());
    assert!(
        line.contains("no permission for the command ROLE") && line.contains("add `+role`"),
        "{line}"
    );
    assert_eq!(guard.health().cause(), None);
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

/// The clock of tokio is paused, so timers fire at once. A check on Redis must still get its whole deadline.
#[tokio::test(start_paused = true)]
async fn paused_clock_does_not_shorten_a_check_on_redis() {
    let server = RedisServer::start();
    let deadline = Duration::from_millis(300);
    let guard = server.settings("test").deadline(deadline).build().unwrap();
    assert_eq!(cause(&guard).await, None);
    server.freeze();
    let start = Instant::now();
    assert_eq!(cause(&guard).await, Some(StoreError::Timeout));
    assert!(start.elapsed() >= deadline, "{:?}", start.elapsed());
    server.thaw();
    eventually("the guard is healthy", || guard.health().is_good().then_some(()));
    assert_eq!(cause(&guard).await, None);
}

#[tokio::test(start_paused = true)]
async fn paused_clock_is_reported_for_upstash() {
    log_lines::collect();
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let guard = rest.settings("test").build().unwrap();
    // The server sends no reply, so only the paused clock can end the check.
    redis.freeze();
    assert_eq!(cause(&guard).await, Some(StoreError::PausedClock));
    let address = format!("127.0.0.1:{}", rest.port());
    let lines = log_lines::with("the clock of tokio is paused");
    assert!(lines.iter().any(|line| line.contains(&address)), "{lines:?}");
    // The breaker does not count this error, and the guard recovers with the clock.
    redis.thaw();
    tokio::time::resume();
    assert_eq!(cause(&guard).await, None);
}
