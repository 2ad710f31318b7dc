//! Tests the attack judge, which decides whether a server enforced its limits during an attack. It must accept a
//! measurement without violations, and it must find every violation.

use std::time::Duration;

use actix_rateguard::Quotas;
use rateguard_tests::attack::{
    http1::{Response, read_response},
    limits::{LIMITS, Limit, SPECIAL_LIMITS},
    load::Tally,
    measure::Measurement,
    options::Options,
    request::{Addresses, Request},
    row::{self, Row},
    server::Failures,
    store::Kind,
    victims::VictimStats,
};

fn limit(name: &str) -> &'static Limit {
    Limit::named(name).unwrap()
}

fn measurement(name: &str, passed: u64) -> Measurement {
    let row = Row {
        limit: limit(name),
        connections: 1,
        delay_ms: 0,
        store: Kind::Redis,
        mode: "open",
        servers: 1,
    };
    let lasted = Duration::from_millis(3_100);
    let victims = VictimStats { micros: vec![1_000; 100], ..VictimStats::default() };
    Measurement {
        row,
        tally: Tally { sent: 1_000, passed, denied: 1_000 - passed, lasted, ..Tally::default() },
        failures: Failures::default(),
        baseline: victims.clone(),
        attacked: victims,
        foreign_load: 0.0,
    }
}

/// The expected message about a violation, and a function that adds this violation to a valid measurement.
type ViolationCase = (&'static str, fn(&mut Measurement));

#[test]
fn limits_have_the_numbers_of_their_rates() {
    for limit in LIMITS.iter().chain(&SPECIAL_LIMITS) {
        let quotas = Quotas::try_from(limit.rate).unwrap();
        let numbers: Vec<_> = quotas
            .iter()
            .map(|quota| (u64::from(quota.limit()), quota.window().as_secs()))
            .collect();
        assert_eq!(numbers, limit.quotas, "{}", limit.name);
    }
}

#[test]
fn maximum_counts_every_window_that_fits() {
    let maximum = |name, millis| limit(name).maximum(Duration::from_millis(millis));
    assert_eq!(maximum("single", 3_000), Some(5));
    assert_eq!(maximum("single", 60_000), Some(10));
    assert_eq!(maximum("two-quotas", 999), Some(5));
    assert_eq!(maximum("two-quotas", 3_100), Some(20));
    assert_eq!(maximum("two-quotas", 1_000_000), Some(1_000));
    assert_eq!(maximum("many-addresses", 3_000), None);
}

#[test]
fn judge_accepts_the_maximum_and_denied_or_local_decisions() {
    assert_eq!(measurement("two-quotas", 20).violations(true), [""; 0]);
    assert_eq!(measurement("single", 5).violations(true), [""; 0]);
    let mut local = measurement("single", 5);
    local.failures.local = 900;
    assert_eq!(local.violations(true), [""; 0]);
}

#[test]
fn judge_finds_each_violation() {
    let changes: [ViolationCase; 10] = [
        ("passed, expected at most 20", |it| it.tally.passed = 21),
        ("1 requests had no decision", |it| it.tally.undecided = 1),
        ("1 requests had no decision", |it| it.failures.open = 1),
        ("1 requests had no decision", |it| it.failures.closed = 1),
        ("1 requests had no decision", |it| it.attacked.unchecked = 1),
        ("within their limits were rejected", |it| it.attacked.rejected = 1),
        ("had no response", |it| it.attacked.lost = 1),
        ("connections ended", |it| it.tally.broken = 1),
        ("unexpected status", |it| it.tally.other = 1),
        ("before the attack", |it| it.baseline.unchecked = 1),
    ];
    for (expected, change) in changes {
        let mut measurement = measurement("two-quotas", 20);
        change(&mut measurement);
        let violations = measurement.violations(false);
        assert_eq!(violations.len(), 1, "{expected}");
        assert!(violations[0].contains(expected), "{violations:?}");
    }
    // In this attack, each address is within its limit. Therefore each denial is a violation.
    assert_eq!(measurement("many-addresses", 999).violations(false).len(), 1);
    assert_eq!(measurement("many-addresses", 1_000).violations(false), [""; 0]);
}

#[test]
fn judge_checks_latency_only_on_request() {
    let mut slow = measurement("single", 5);
    slow.attacked.micros = vec![3_100; 100];
    assert_eq!(slow.violations(false), [""; 0]);
    assert_eq!(slow.violations(true).len(), 1);
}

#[test]
fn response_is_read_when_it_is_complete() {
    let head = "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 5\r\nX-RateLimit-Limit: 5\r\nRetry-After: 42\r\n";
    let complete = format!("{head}\r\nlater");
    for length in 0..complete.len() {
        assert_eq!(read_response(&complete.as_bytes()[..length]).unwrap(), None);
    }
    let response = Response { status: 429, is_decided: true, retry_after: Some(42) };
    assert_eq!(read_response(complete.as_bytes()).unwrap(), Some(response));
    let unchecked = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let response = Response { status: 200, ..Response::default() };
    assert_eq!(read_response(unchecked).unwrap(), Some(response));
    assert!(read_response(b"HTTP/1.1\r\n\r\n").is_err());
}

#[test]
fn requests_have_addresses_of_the_selected_networks() {
    let text = |addresses, number| {
        let mut request = Request::new(addresses, "");
        request.set_address(number);
        String::from_utf8(request.bytes().to_vec()).unwrap()
    };
    assert!(!text(Addresses::Peer, 7).contains("Forwarded"));
    assert!(text(Addresses::ManyNetworks, 0x1_002a).contains("302a:0010:0000:0000::1\r\n"));
    assert!(text(Addresses::OneNetwork, 0x2a).contains("2001:0db8:a77a:002a::1\r\n"));
}

#[test]
fn rows_are_selected_by_words_of_their_names() {
    let args = ["--small", "--only", "ban", "--only", "1ms"].map(str::to_owned);
    let options = Options::read(args.into_iter()).unwrap();
    assert!(options.is_small && options.duration == Duration::from_secs(1));
    let names: Vec<_> = row::few().iter().map(Row::to_string).collect();
    let selected: Vec<_> = names.iter().filter(|name| options.has(name)).collect();
    assert_eq!(selected, ["ban 1000conn 1ms redis open 1server"]);
    for wrong in [&["--only"][..], &["--seconds", "0"], &["--seconds", "x"], &["--what"]] {
        assert!(Options::read(wrong.iter().map(|arg| (*arg).to_owned())).is_err(), "{wrong:?}");
    }
}
