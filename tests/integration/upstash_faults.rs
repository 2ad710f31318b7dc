//! Tests an Upstash service that is down, slow or hung, or that sends invalid responses.

#![allow(clippy::print_stdout, reason = "the tests print figures")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use actix_rateguard::{Key, Policy, RateGuard, StoreError};
use futures_util::future::join_all;

use crate::support::{
    TEST_TIMEOUT, eventually,
    http_server::{Fault, HttpServer, response},
    log_lines,
    redis_server::{RedisServer, free_port},
    rest_server::{RestServer, TOKEN},
};

const DEADLINE: Duration = Duration::from_millis(100);
/// The maximum duration of a check: the deadline, plus 1.4 s for a busy machine.
const MAX_DURATION: Duration = Duration::from_millis(1_500);

async fn remaining(guard: &RateGuard) -> Result<u32, StoreError> {
    let policy = Policy::new("p", "1000000/hour").unwrap();
    let decision = guard.check(&policy, &Key::global()).await.map_err(|it| it.cause())?;
    // If the guard decides in memory, the decision does not contain the error of the store. Therefore the function
    // returns `LOCAL` for a decision in memory.
    if decision.is_local() { Err(LOCAL) } else { Ok(decision.remaining()) }
}

/// [`remaining`] returns this error if the guard decided in its own memory, and not in the store.
const LOCAL: StoreError = StoreError::Overloaded;

/// Sends checks until the store decides one of them, and returns the number of remaining units.
async fn eventually_remaining(guard: &RateGuard) -> u32 {
    let start = Instant::now();
    loop {
        let cause = match remaining(guard).await {
            Ok(remaining) => return remaining,
            Err(cause) => cause,
        };
        assert!(start.elapsed() < TEST_TIMEOUT, "no decision: {cause}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn server_down_at_start_is_used_once_up() {
    let redis = RedisServer::start();
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let guard =
        RateGuard::upstash(url, TOKEN).prefix("test").deadline(TEST_TIMEOUT).build().unwrap();
    for _ in 0..20 {
        let start = Instant::now();
        assert_eq!(remaining(&guard).await, Err(StoreError::Unreachable(None)));
        assert!(start.elapsed() < MAX_DURATION);
    }
    assert!(!guard.health().is_good());
    for _ in 0..3 {
        let rest = RestServer::start_at(port, None, &redis.url());
        eventually_remaining(&guard).await;
        assert!(guard.health().is_good());
        drop(rest);
        eventually("the guard is unhealthy", || (!guard.health().is_good()).then_some(()));
    }
}

#[tokio::test]
async fn hung_server_costs_the_deadline_and_then_microseconds() {
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let guard = rest.settings("hang").deadline(DEADLINE).build().unwrap();
    eventually_remaining(&guard).await;
    rest.set_fault(Fault::Hang);
    let start = Instant::now();
    while start.elapsed() < 10 * DEADLINE {
        let started = Instant::now();
        assert_eq!(remaining(&guard).await, Err(StoreError::Timeout));
        assert!(started.elapsed() < MAX_DURATION);
    }
    let mut durations = Vec::new();
    for _ in 0..200 {
        let started = Instant::now();
        assert_eq!(remaining(&guard).await, Err(StoreError::Timeout));
        durations.push(started.elapsed());
    }
    durations.sort_unstable();
    println!("median of checks while the server hangs: {:?}", durations[100]);
    assert!(durations[100] < DEADLINE / 10, "{:?}", durations[100]);
    rest.set_fault(Fault::None);
    eventually_remaining(&guard).await;
}

#[tokio::test]
async fn faulty_responses_map_to_store_errors_and_recover() {
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let guard = rest.guard("responses");
    let respond = |status: &str, body: &str| Fault::Send(response(status, "", body));
    let error = |text: &str| respond("400 Bad Request", &format!(r#"{{"error":"{text}"}}"#));
    // This decision is valid. However, the guard must reject a response that has very long whitespace or headers
    // before the decision.
    let decision = r#"{"result":[1,1700000000000000,9,60,0]}"#;
    let long = "x".repeat(200_000);
    let faults = [
        (respond("500 Internal Server Error", ""), StoreError::NotReady(None)),
        (respond("503 Service Unavailable", "<html>"), StoreError::NotReady(None)),
        (respond("429 Too Many Requests", ""), LOCAL),
        (respond("401 Unauthorized", r#"{"error":"WRONGPASS"}"#), StoreError::Authentication),
        (respond("403 Forbidden", ""), StoreError::Permission),
        (respond("404 Not Found", ""), StoreError::InvalidReply),
        (respond("200 OK", r#"{"result":"#), StoreError::InvalidReply),
        (respond("200 OK", r#"{"result":[1,9]}"#), StoreError::InvalidReply),
        (respond("200 OK", r#"{"result":[1,9,-4,60,0]}"#), StoreError::InvalidReply),
        (
            respond("200 OK", &format!("{}{decision}", " ".repeat(200_000))),
            StoreError::InvalidReply,
        ),
        (
            Fault::Send(response("200 OK", &format!("X-Long: {long}\r\n"), decision)),
            StoreError::InvalidReply,
        ),
        (Fault::Send("+OK\r\n+OK\r\n+OK\r\n\r\n".to_owned()), StoreError::InvalidReply),
        (Fault::Close, StoreError::Disconnected(None)),
        (error("ERR max requests limit exceeded. Limit: 5, Usage: 5."), LOCAL),
        (error("OOM command not allowed when used memory > 'maxmemory'."), LOCAL),
        (
            error("READONLY You can't write against a read only replica."),
            StoreError::NotReady(None),
        ),
        // The service returns this error even for EVAL. EVAL does not need a loaded script, so the error makes no
        // sense.
        (error("NOSCRIPT No matching script."), StoreError::InvalidReply),
    ];
    for (number, (fault, cause)) in faults.into_iter().enumerate() {
        let before = eventually_remaining(&guard).await;
        rest.set_fault(fault);
        let start = Instant::now();
        assert_eq!(remaining(&guard).await, Err(cause), "{number}");
        assert!(start.elapsed() < TEST_TIMEOUT / 2, "{number}");
        rest.set_fault(Fault::None);
        assert_eq!(eventually_remaining(&guard).await, before - 1, "{number}");
    }
}

#[tokio::test]
async fn unavailable_redis_behind_rest_is_reported_and_recovers() {
    let mut redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let guard = rest.guard("behind");
    assert_eq!(remaining(&guard).await, Ok(999_999));
    redis::cmd("REPLICAOF").arg("127.0.0.1").arg("1").exec(&mut redis.client()).unwrap();
    assert_eq!(remaining(&guard).await, Err(StoreError::NotReady(None)));
    redis::cmd("REPLICAOF").arg("NO").arg("ONE").exec(&mut redis.client()).unwrap();
    assert_eq!(eventually_remaining(&guard).await, 999_998);
    redis.kill();
    assert_eq!(remaining(&guard).await, Err(StoreError::NotReady(None)));
    redis.restart();
    assert_eq!(eventually_remaining(&guard).await, 999_999);
}

#[tokio::test]
async fn redirects_do_not_leak_the_token() {
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    let redirect_target = HttpServer::start_at(free_port(), None, move |_| {
        counter.fetch_add(1, SeqCst);
        response("200 OK", "", "{}")
    })
    .unwrap();
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let guard = rest.guard("redirects");
    let location = format!("Location: http://127.0.0.1:{}/\r\n", redirect_target.port());
    for status in ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        rest.set_fault(Fault::Send(response(status, &location, "")));
        assert_eq!(remaining(&guard).await, Err(StoreError::InvalidReply));
    }
    assert_eq!((requests.load(SeqCst), redirect_target.connections()), (0, 0));
}

#[tokio::test]
async fn timed_out_checks_are_not_counted_on_arrival() {
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let guard = rest.settings("late").deadline(DEADLINE).build().unwrap();
    let before = eventually_remaining(&guard).await;
    let commands = rest.commands().len();
    rest.set_fault(Fault::Slow(5 * DEADLINE));
    let checks = join_all((0..5).map(|_| remaining(&guard))).await;
    assert_eq!(checks, [Err(StoreError::Timeout); 5]);
    rest.set_fault(Fault::None);
    // At least one check is sent on the open connection, and reaches the server after the deadline of the check.
    eventually("a late check arrives", || (rest.commands().len() > commands).then_some(()));
    assert_eq!(eventually_remaining(&guard).await, before - 1);
}

#[tokio::test]
async fn closed_connection_is_replaced_without_double_counting() {
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let guard = rest.guard("closed");
    for round in 1..=50 {
        // If a check fails because the connection is being closed, the server has not received the check. Such a
        // check is not counted.
        assert_eq!(eventually_remaining(&guard).await, 1_000_000 - round);
        rest.disconnect();
    }
}

#[tokio::test]
async fn thousand_waiting_checks_share_connections_after_recovery() {
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let (port, guard) = (rest.port(), rest.guard("recovery"));
    assert_eq!(remaining(&guard).await, Ok(999_999));
    drop(rest);
    eventually("the guard is unhealthy", || (!guard.health().is_good()).then_some(()));
    // The checks keep the runtime busy, so another thread starts the server.
    let url = redis.url();
    let server = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        RestServer::start_at(port, None, &url)
    });
    join_all((0..1_000).map(|_| eventually_remaining(&guard))).await;
    let rest = server.join().unwrap();
    println!("connections after 1,000 waiting checks: {}", rest.connections());
    assert!(rest.connections() <= 64, "{}", rest.connections());
}

#[tokio::test]
async fn token_and_url_appear_in_no_log_or_error() {
    log_lines::collect();
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let settings = || rest.settings("secret").deadline(TEST_TIMEOUT);
    let mut output = format!("{:?} {:#?}", settings(), settings());
    let guard = settings().build().unwrap();
    let echo = |status| Fault::Send(response(status, "", &format!(r#"{{"error":"ERR {TOKEN}"}}"#)));
    for fault in [
        Fault::None,
        Fault::Close,
        echo("400 Bad Request"),
        echo("401 Unauthorized"),
        echo("503 Unavailable"),
        Fault::Send(format!("{TOKEN}\r\n\r\n")),
    ] {
        rest.set_fault(fault);
        let policy = Policy::new("p", "1000000/hour").unwrap();
        let result = guard.check(&policy, &Key::global()).await;
        if let Err(error) = &result {
            output += &error.to_string();
        }
        output += &format!("{result:?} {guard:?} {guard:#?} {:?}", guard.health());
    }
    rest.set_fault(Fault::None);
    let unauthorized = RateGuard::upstash(rest.url(), "another")
        .prefix("test")
        .deadline(TEST_TIMEOUT)
        .build()
        .unwrap();
    assert_eq!(remaining(&unauthorized).await, Err(StoreError::Authentication));
    let port = rest.port().to_string();
    assert!(!output.contains(TOKEN) && !output.contains(&port), "{output}");
    assert_eq!(log_lines::from_all_targets_with(TOKEN), Vec::<String>::new());
    assert_eq!(log_lines::from_all_targets_with(&rest.url()), Vec::<String>::new());
    // The log must contain the cause of the error, but not the token.
    assert!(!log_lines::with("rejected the user or the password").is_empty());
}
