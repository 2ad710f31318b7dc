//! Servers that are none, or odd ones: what is no decision is never taken for one, and nobody is asked too often.

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

use rateguard::{Key, Policy, RateGuard, StoreError};

use super::checks::{AT_MOST, Checks, DEADLINE, PATIENT};
use crate::support::redis_server::{RedisServer, url};

/// A server that treats its connections in this way; returns where it is and how many it had.
pub fn strange_server(
    treat: impl Fn(TcpStream) + Send + Sync + 'static,
) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = url(listener.local_addr().unwrap().port());
    let connections = Arc::new(AtomicU64::new(0));
    let (counter, treat) = (connections.clone(), Arc::new(treat));
    thread::spawn(move || {
        for stream in listener.incoming() {
            counter.fetch_add(1, SeqCst);
            let treat = treat.clone();
            thread::spawn(move || treat(stream.unwrap()));
        }
    });
    (address, connections)
}

/// A server that answers each script call with the next of these replies, and everything else with `OK`. A reply is a text in
/// which a blank stands for the end of a line, and each character for the byte of its number; or after a `#`, numbers, as the
/// script tells them.
fn answers_in_turn(replies: &'static [&'static str]) -> String {
    let turn = AtomicU64::new(0);
    let (url, _) = strange_server(move |stream| {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let mut next = || lines.next()?.ok();
        let mut stream = stream;
        while let Some(head) = next() {
            let words: Option<Vec<String>> =
                (0..head[1..].parse().unwrap()).map(|_| next().and_then(|_| next())).collect();
            let Some(words) = words else { return };
            let reply = if words[0].starts_with("EVAL") {
                replies[turn.fetch_add(1, SeqCst) as usize % replies.len()]
            } else {
                "+OK"
            };
            let reply = match reply.strip_prefix('#') {
                Some(numbers) => told(numbers),
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

/// Eight bytes for each number.
fn told(numbers: &str) -> Vec<u8> {
    let numbers = numbers.split_whitespace().map(|it| it.parse::<i64>().unwrap());
    let bytes: Vec<_> = numbers.flat_map(i64::to_be_bytes).collect();
    [format!("${}\r\n", bytes.len()).as_bytes(), &bytes, b"\r\n"].concat()
}

#[tokio::test]
async fn what_is_no_decision_is_not_taken_for_one() {
    const GOOD: &str = "#1700000000000000 1 9 60000000 0";
    const REPLIES: &[&str] = &[
        GOOD,
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
        GOOD,
    ];
    let settings = RateGuard::redis(answers_in_turn(REPLIES));
    let checks = Checks::new(settings, PATIENT, "10/minute");
    for (number, reply) in REPLIES.iter().enumerate() {
        let answer = checks.once().await;
        if *reply == GOOD {
            assert_eq!(answer.unwrap().remaining(), 9);
        } else {
            assert_eq!(answer.err(), Some(StoreError::Unintelligible), "{number}: {reply}");
        }
    }
}

#[tokio::test]
async fn what_is_no_redis_protocol_ends_the_connection_and_the_next_is_used() {
    const REPLIES: &[&str] = &[
        "#1700000000000000 1 9 60000000 0",
        "-ERR \u{ff}\u{fe}",
        "#1700000000000000 1 8 60000000 0",
        "HTTP/1.1 400 Bad Request",
        "#1700000000000000 1 7 60000000 0",
        "*5 :99999999999999999999 :1 :7 :60000000 :0",
    ];
    let settings = RateGuard::redis(answers_in_turn(REPLIES));
    let checks = Checks::new(settings, PATIENT, "10/minute");
    for remaining in [9, 8, 7, 9, 8, 7] {
        assert_eq!(checks.decided().await.remaining(), remaining);
    }
}

#[tokio::test]
async fn a_server_whose_clock_was_set_forward_is_asked_once_more() {
    // It is an hour later there than it said before, and finds late what is not.
    const REPLIES: &[&str] = &[
        "#1700000000000000 1 9 60000000 0",
        "#1700003600000000 -1",
        "#1700003600000100 1 8 60000000 0",
    ];
    let settings = RateGuard::redis(answers_in_turn(REPLIES));
    let checks = Checks::new(settings, PATIENT, "10/minute");
    for remaining in [9, 8, 9, 8] {
        assert_eq!(checks.decided().await.remaining(), remaining);
    }
}

#[tokio::test]
async fn a_server_that_finds_everything_late_is_asked_no_third_time() {
    let url = answers_in_turn(&["#1700003600000000 -1"]);
    let guard = RateGuard::redis(url).deadline(AT_MOST).build().unwrap();
    let (policy, key) = (Policy::new("p", "10/minute").unwrap(), Key::global());
    let answered = Instant::now();
    // The server is there, so this is no reason to let the request pass unchecked.
    match guard.check(&policy, &key).await {
        Ok(decision) => assert!(decision.is_local()),
        Err(unavailable) => assert_eq!(unavailable.cause(), StoreError::Unreachable),
    }
    assert!(answered.elapsed() < 2 * AT_MOST);
}

#[tokio::test]
async fn servers_that_hang_up_or_talk_nonsense_are_asked_at_a_measured_pace() {
    let hang_up = |stream: TcpStream| drop(stream);
    let nonsense = |mut stream: TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
    };
    // It answers, but later than anybody waits.
    let slow = |mut stream: TcpStream| {
        let mut request = [0; 4096];
        while matches!(stream.read(&mut request), Ok(1..)) {
            thread::sleep(3 * DEADLINE);
            let _ = stream.write_all(b"+OK\r\n+OK\r\n");
        }
    };
    for (address, connections) in
        [strange_server(hang_up), strange_server(nonsense), strange_server(slow)]
    {
        Checks::many(RateGuard::redis(address)).stay_lost(Duration::from_secs(2)).await;
        let made = connections.load(SeqCst);
        assert!((1..25).contains(&made), "{made}");
    }
}

#[tokio::test]
async fn a_server_that_cuts_idle_connections_off_fails_no_check() {
    let redis = RedisServer::start_with(&["--timeout", "3"]);
    let checks = Checks::new(redis.settings("idle"), PATIENT, "9/hour");
    for _ in 0..2 {
        assert!(checks.once().await.is_ok());
        tokio::time::sleep(Duration::from_secs(6)).await;
    }
    assert!(checks.once().await.is_ok());
}
