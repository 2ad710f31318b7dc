//! Tests servers that send malformed replies, or that do not use the Redis protocol. The guard must accept only valid
//! replies as decisions, and must reconnect with backoff.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use actix_rateguard::{Key, Policy, RateGuard, StoreError};

use super::checks::{Checks, DEADLINE, LONG_DEADLINE, MAX_WAIT};
use crate::support::redis_server::{RedisServer, url};

/// Starts a server that runs `handle` for each connection. Returns the URL of the server, and a counter of its
/// connections.
pub fn custom_server(
    handle: impl Fn(TcpStream) + Send + Sync + 'static,
) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = url(listener.local_addr().unwrap().port());
    let connections = Arc::new(AtomicU64::new(0));
    let (counter, handle) = (connections.clone(), Arc::new(handle));
    thread::spawn(move || {
        for stream in listener.incoming() {
            counter.fetch_add(1, SeqCst);
            let handle = handle.clone();
            thread::spawn(move || handle(stream.unwrap()));
        }
    });
    (address, connections)
}

/// Starts a server that replies to calls of the script with these replies in turn, and to any other command with
/// `OK`. Returns the URL of the server.
///
/// A reply that begins with `#` consists of numbers, and the server encodes them as the script does. Any other reply
/// is raw text. In this text, a space stands for a line end, and each character stands for the byte with its code
/// point.
fn server_with_replies(replies: &'static [&'static str]) -> String {
    let next_reply = AtomicU64::new(0);
    let (url, _) = custom_server(move |stream| {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let mut next = || lines.next()?.ok();
        let mut stream = stream;
        while let Some(head) = next() {
            let words: Option<Vec<String>> =
                (0..head[1..].parse().unwrap()).map(|_| next().and_then(|_| next())).collect();
            let Some(words) = words else { return };
            // The guard runs the script once after it connects. This call is no check.
            let is_test = words.iter().any(|word| word.contains("rateguard-connection-test"));
            let reply = if words[0].starts_with("EVAL") && !is_test {
                replies[next_reply.fetch_add(1, SeqCst) as usize % replies.len()]
            } else {
                "+OK"
            };
            let reply = match reply.strip_prefix('#') {
                Some(numbers) => encode_numbers(numbers),
                None => {
                    let lines = format!("{}\r\n", reply.replace(' ', "\r\n"));
                    lines.chars().map(|it| u8::try_from(it).unwrap()).collect()
                }
            };
            if stream.write_all(&reply).is_err() {
                return;
            }
        }
    });
    url
}

/// Encodes each number as eight bytes, and returns them as a bulk string.
fn encode_numbers(numbers: &str) -> Vec<u8> {
    let numbers = numbers.split_whitespace().map(|it| it.parse::<i64>().unwrap());
    let bytes: Vec<_> = numbers.flat_map(i64::to_be_bytes).collect();
    [format!("${}\r\n", bytes.len()).as_bytes(), &bytes, b"\r\n"].concat()
}

#[tokio::test]
async fn malformed_replies_are_invalid_reply_errors() {
    const VALID: &str = "#1700000000000000 1 9 60000000 0";
    const REPLIES: &[&str] = &[
        VALID,
        "+OK",
        ":1",
        "$-1",
        "*-1",
        "*0",
        "*5 :1700000000000000 :1 :9 :60000000 :0",
        "$0 ",
        "$7 1234567",
        "$9 123456789",
        "$8 \u{ff}\u{fe}345678",
        "#",
        "#1",
        "#1700000000000000 1",
        "#1700000000000000 2 9 60000000 0",
        "#1700000000000000 1 11 60000000 0",
        "#1700000000000000 1 -1 60000000 0",
        "#1700000000000000 0 9 60000000 0",
        "#-5 1 9 60000000 0",
        "#1700000000000000 1 9223372036854775807 60000000 0",
        "#1700000000000000 1 -9223372036854775808 60000000 0",
        "#1700000000000000 9223372036854775807 9 60000000 0",
        "#1700000000000000 1 9 -1 0",
        "#1700000000000000 1 9 60000000 0 9 60000000 0",
        "-WRONG",
        "-ERR",
        "$4 good",
        VALID,
    ];
    let settings = RateGuard::redis(server_with_replies(REPLIES)).prefix("test");
    let checks = Checks::new(settings, LONG_DEADLINE, "10/minute");
    for (number, reply) in REPLIES.iter().enumerate() {
        let result = checks.check_global().await;
        if *reply == VALID {
            assert_eq!(result.unwrap().remaining(), 9);
        } else {
            assert_eq!(result.err(), Some(StoreError::InvalidReply), "{number}: {reply}");
        }
    }
}

#[tokio::test]
async fn protocol_error_closes_connection_and_next_one_is_used() {
    const REPLIES: &[&str] = &[
        "#1700000000000000 1 9 60000000 0",
        "-ERR \u{ff}\u{fe}",
        "#1700000000000000 1 8 60000000 0",
        "HTTP/1.1 400 Bad Request",
        "#1700000000000000 1 7 60000000 0",
        "*5 :99999999999999999999 :1 :7 :60000000 :0",
    ];
    let settings = RateGuard::redis(server_with_replies(REPLIES)).prefix("test");
    let checks = Checks::new(settings, LONG_DEADLINE, "10/minute");
    for remaining in [9, 8, 7, 9, 8, 7] {
        assert_eq!(checks.wait_for_decision().await.remaining(), remaining);
    }
}

#[tokio::test]
async fn check_found_late_after_clock_step_is_retried_once() {
    // In the second reply, the clock of the server is one hour ahead of the first reply. The script therefore reports
    // that the check arrived after its deadline.
    const REPLIES: &[&str] = &[
        "#1700000000000000 1 9 60000000 0",
        "#1700003600000000 -1",
        "#1700003600000100 1 8 60000000 0",
    ];
    let settings = RateGuard::redis(server_with_replies(REPLIES)).prefix("test");
    let checks = Checks::new(settings, LONG_DEADLINE, "10/minute");
    for remaining in [9, 8, 9, 8] {
        assert_eq!(checks.wait_for_decision().await.remaining(), remaining);
    }
}

#[tokio::test]
async fn server_that_finds_every_check_late_is_retried_once() {
    let url = server_with_replies(&["#1700003600000000 -1"]);
    let guard = RateGuard::redis(url).prefix("test").deadline(MAX_WAIT).build().unwrap();
    let (policy, key) = (Policy::new("p", "10/minute").unwrap(), Key::global());
    let start = Instant::now();
    // Both results are correct: a decision in memory if the guard considers the server reachable, and otherwise an
    // error.
    match guard.check(&policy, &key).await {
        Ok(decision) => assert!(decision.is_local()),
        Err(unavailable) => assert_eq!(unavailable.cause(), StoreError::Unreachable(None)),
    }
    assert!(start.elapsed() < 2 * MAX_WAIT);
}

#[tokio::test]
async fn broken_servers_are_reconnected_with_backoff() {
    let close = |stream: TcpStream| drop(stream);
    let other_protocol = |mut stream: TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
    };
    // This server sends each reply after the deadline of the check.
    let slow = |mut stream: TcpStream| {
        let mut request = [0; 4096];
        while matches!(stream.read(&mut request), Ok(1..)) {
            thread::sleep(3 * DEADLINE);
            let _ = stream.write_all(b"+OK\r\n+OK\r\n");
        }
    };
    for (address, connections) in
        [custom_server(close), custom_server(other_protocol), custom_server(slow)]
    {
        Checks::with_short_deadline(RateGuard::redis(address).prefix("test"))
            .assert_undecided_for(Duration::from_secs(2))
            .await;
        let made = connections.load(SeqCst);
        assert!((1..25).contains(&made), "{made}");
    }
}

#[tokio::test]
async fn idle_timeout_of_server_fails_no_check() {
    let redis = RedisServer::start_with(&["--timeout", "3"]);
    let checks = Checks::new(redis.settings("idle"), LONG_DEADLINE, "9/hour");
    for _ in 0..2 {
        assert!(checks.check_global().await.is_ok());
        tokio::time::sleep(Duration::from_secs(6)).await;
    }
    assert!(checks.check_global().await.is_ok());
}
