//! Upstash away, slow, hanging, or saying something else than a decision.

#![allow(clippy::print_stdout, reason = "it prints a figure")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use rateguard::{Key, Policy, RateGuard, StoreError};

use crate::support::{
    PATIENCE, eventually,
    http_server::{Fault, HttpServer, response},
    log_lines,
    redis_server::{RedisServer, free_port},
    rest_server::{RestServer, TOKEN},
};

const DEADLINE: Duration = Duration::from_millis(100);
/// The deadline and a little, on a machine that does much else.
const AT_MOST: Duration = Duration::from_millis(1_500);

async fn remaining(guard: &RateGuard) -> Result<u32, StoreError> {
    let policy = Policy::new("p", "1000000/hour").unwrap();
    let decision = guard.check(&policy, &Key::global()).await.map_err(|it| it.cause())?;
    // A decision in memory does not say why the store has made none.
    if decision.is_local() { Err(LOCAL) } else { Ok(decision.remaining()) }
}

/// Stands for a decision in memory.
const LOCAL: StoreError = StoreError::Overloaded;

/// A decision, as soon as there is one again.
async fn eventually_remaining(guard: &RateGuard) -> u32 {
    let start = Instant::now();
    loop {
        let cause = match remaining(guard).await {
            Ok(remaining) => return remaining,
            Err(cause) => cause,
        };
        assert!(start.elapsed() < PATIENCE, "no decision: {cause}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_server_that_is_away_at_first_is_used_when_it_is_there() {
    let redis = RedisServer::start();
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let guard = RateGuard::upstash(url, TOKEN).deadline(PATIENCE).build().unwrap();
    for _ in 0..20 {
        let start = Instant::now();
        assert_eq!(remaining(&guard).await, Err(StoreError::Unreachable));
        assert!(start.elapsed() < AT_MOST);
    }
    assert!(!guard.health().is_good());
    for _ in 0..3 {
        let rest = RestServer::start_at(port, None, &redis.url());
        eventually_remaining(&guard).await;
        assert!(guard.health().is_good());
        drop(rest);
        eventually("it is missed", || (!guard.health().is_good()).then_some(()));
    }
}

#[tokio::test]
async fn a_server_that_hangs_costs_the_deadline_and_then_microseconds() {
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let guard = rest.settings("hang").deadline(DEADLINE).build().unwrap();
    eventually_remaining(&guard).await;
    rest.set(Fault::Hang);
    let start = Instant::now();
    while start.elapsed() < 10 * DEADLINE {
        let asked = Instant::now();
        assert_eq!(remaining(&guard).await, Err(StoreError::Timeout));
        assert!(asked.elapsed() < AT_MOST);
    }
    let mut waited = Vec::new();
    for _ in 0..200 {
        let asked = Instant::now();
        assert_eq!(remaining(&guard).await, Err(StoreError::Timeout));
        waited.push(asked.elapsed());
    }
    waited.sort_unstable();
    println!("while it hangs: median {:?}", waited[100]);
    assert!(waited[100] < DEADLINE / 10, "{:?}", waited[100]);
    rest.set(Fault::None);
    eventually_remaining(&guard).await;
}

#[tokio::test]
async fn what_is_no_decision_is_told_in_our_words_and_is_over_with_its_cause() {
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let guard = rest.guard("words");
    let say = |status: &str, body: &str| Fault::Say(response(status, "", body));
    let error = |text: &str| say("400 Bad Request", &format!(r#"{{"error":"{text}"}}"#));
    // Decisions, but for their length.
    let decision = r#"{"result":[1,1700000000000000,9,60,0]}"#;
    let long = "x".repeat(200_000);
    let faults = [
        (say("500 Internal Server Error", ""), StoreError::NotReady),
        (say("503 Service Unavailable", "<html>"), StoreError::NotReady),
        (say("429 Too Many Requests", ""), LOCAL),
        (say("401 Unauthorized", r#"{"error":"WRONGPASS"}"#), StoreError::Authentication),
        (say("403 Forbidden", ""), StoreError::Permission),
        (say("404 Not Found", ""), StoreError::Unintelligible),
        (say("200 OK", r#"{"result":"#), StoreError::Unintelligible),
        (say("200 OK", r#"{"result":[1,9]}"#), StoreError::Unintelligible),
        (say("200 OK", r#"{"result":[1,9,-4,60,0]}"#), StoreError::Unintelligible),
        (say("200 OK", &format!("{}{decision}", " ".repeat(200_000))), StoreError::Unintelligible),
        (
            Fault::Say(response("200 OK", &format!("X-Long: {long}\r\n"), decision)),
            StoreError::Unintelligible,
        ),
        (Fault::Say("+OK\r\n+OK\r\n+OK\r\n\r\n".to_owned()), StoreError::Unintelligible),
        (Fault::Close, StoreError::Disconnected),
        (error("ERR max requests limit exceeded. Limit: 5, Usage: 5."), LOCAL),
        (error("OOM command not allowed when used memory > 'maxmemory'."), LOCAL),
        (error("READONLY You can't write against a read only replica."), StoreError::NotReady),
        // Also when it is brought along.
        (error("NOSCRIPT No matching script."), StoreError::Unintelligible),
    ];
    for (number, (fault, cause)) in faults.into_iter().enumerate() {
        let before = eventually_remaining(&guard).await;
        rest.set(fault);
        let start = Instant::now();
        assert_eq!(remaining(&guard).await, Err(cause), "{number}");
        assert!(start.elapsed() < PATIENCE / 2, "{number}");
        rest.set(Fault::None);
        assert_eq!(eventually_remaining(&guard).await, before - 1, "{number}");
    }
}

#[tokio::test]
async fn a_redis_behind_it_that_is_away_or_read_only_is_told_and_used_again() {
    let mut redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let guard = rest.guard("behind");
    assert_eq!(remaining(&guard).await, Ok(999_999));
    redis::cmd("REPLICAOF").arg("127.0.0.1").arg("1").exec(&mut redis.client()).unwrap();
    assert_eq!(remaining(&guard).await, Err(StoreError::NotReady));
    redis::cmd("REPLICAOF").arg("NO").arg("ONE").exec(&mut redis.client()).unwrap();
    assert_eq!(eventually_remaining(&guard).await, 999_998);
    redis.kill();
    assert_eq!(remaining(&guard).await, Err(StoreError::NotReady));
    redis.restart();
    assert_eq!(eventually_remaining(&guard).await, 999_999);
}

#[tokio::test]
async fn the_token_goes_nowhere_else() {
    let asked = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&asked);
    let elsewhere = HttpServer::start_at(free_port(), None, move |_| {
        seen.fetch_add(1, SeqCst);
        response("200 OK", "", "{}")
    });
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let guard = rest.guard("elsewhere");
    let location = format!("Location: http://127.0.0.1:{}/\r\n", elsewhere.port());
    for status in ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        rest.set(Fault::Say(response(status, &location, "")));
        assert_eq!(remaining(&guard).await, Err(StoreError::Unintelligible));
    }
    assert_eq!((asked.load(SeqCst), elsewhere.connections()), (0, 0));
}

#[tokio::test]
async fn checks_that_were_given_up_do_not_count_when_they_arrive() {
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let guard = rest.settings("late").deadline(DEADLINE).build().unwrap();
    let before = eventually_remaining(&guard).await;
    let commands = rest.commands().len();
    rest.set(Fault::Slow(5 * DEADLINE));
    let checks = join_all((0..5).map(|_| remaining(&guard))).await;
    assert_eq!(checks, [Err(StoreError::Timeout); 5]);
    rest.set(Fault::None);
    // At least the one that had a connection arrives.
    eventually("it arrives", || (rest.commands().len() > commands).then_some(()));
    assert_eq!(eventually_remaining(&guard).await, before - 1);
}

#[tokio::test]
async fn a_connection_that_the_server_has_closed_is_replaced_and_nothing_counts_twice() {
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let guard = rest.guard("closed");
    for round in 1..=50 {
        // Who asks in the moment in which it closes cannot tell whether it was asked; and it was not.
        assert_eq!(eventually_remaining(&guard).await, 1_000_000 - round);
        rest.disconnect();
    }
}

#[tokio::test]
async fn after_an_outage_a_crowd_connects_no_more_than_has_to_be() {
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let (port, guard) = (rest.port(), rest.guard("crowd"));
    assert_eq!(remaining(&guard).await, Ok(999_999));
    drop(rest);
    eventually("it is missed", || (!guard.health().is_good()).then_some(()));
    // Not on the runtime that the crowd keeps busy.
    let url = redis.url();
    let back = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        RestServer::start_at(port, None, &url)
    });
    join_all((0..1_000).map(|_| eventually_remaining(&guard))).await;
    let rest = back.join().unwrap();
    println!("connections after 1,000 have waited for it: {}", rest.connections());
    assert!(rest.connections() <= 64, "{}", rest.connections());
}

#[tokio::test]
async fn token_and_url_are_in_no_log_debug_text_or_error() {
    log_lines::collect();
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let settings = || rest.settings("secret").deadline(PATIENCE);
    let mut seen = format!("{:?} {:#?}", settings(), settings());
    let guard = settings().build().unwrap();
    let echo = |status| Fault::Say(response(status, "", &format!(r#"{{"error":"ERR {TOKEN}"}}"#)));
    for fault in [
        Fault::None,
        Fault::Close,
        echo("400 Bad Request"),
        echo("401 Unauthorized"),
        echo("503 Unavailable"),
        Fault::Say(format!("{TOKEN}\r\n\r\n")),
    ] {
        rest.set(fault);
        let policy = Policy::new("p", "1000000/hour").unwrap();
        let answer = guard.check(&policy, &Key::global()).await;
        if let Err(error) = &answer {
            seen += &error.to_string();
        }
        seen += &format!("{answer:?} {guard:?} {guard:#?} {:?}", guard.health());
    }
    let stranger = RateGuard::upstash(rest.url(), "another").deadline(PATIENCE).build().unwrap();
    rest.set(Fault::None);
    assert_eq!(remaining(&stranger).await, Err(StoreError::Authentication));
    let port = rest.port().to_string();
    assert!(!seen.contains(TOKEN) && !seen.contains(&port), "{seen}");
    assert_eq!(log_lines::of_everybody_with(TOKEN), Vec::<String>::new());
    assert_eq!(log_lines::of_everybody_with(&rest.url()), Vec::<String>::new());
    // It has been logged what happened.
    assert!(!log_lines::with("refused user or password").is_empty());
}
