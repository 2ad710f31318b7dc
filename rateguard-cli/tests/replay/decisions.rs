//! Compares the replay with a guard of the library that gets the same requests at the same times.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use actix_rateguard_core::{Clock, Count, Key, MemoryStore, Policy, RateGuard};

use crate::support::{Request, START, TestFile, json_log, numbers, replay_json, traffic};

#[derive(Clone, Default)]
struct LogClock(Arc<AtomicU64>);

impl Clock for LogClock {
    fn now(&self) -> Duration {
        Duration::from_micros(self.0.load(Relaxed))
    }
}

fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("expected a store that answers at once"),
    }
}

/// The key of a request: the IPv6 network of 64 bits, or the IPv4 address.
fn ip_key(request: &Request) -> Key {
    Key::from(request.ip.split("::").next().unwrap_or(&request.ip))
}

/// Returns how many requests a guard denies, and how many of them because of a ban.
fn guard_denies(policy: &Policy, requests: &[Request], cost: u32, count: Count) -> (u64, u64) {
    let clock = LogClock::default();
    let store = MemoryStore::new().clock(clock.clone());
    let guard = RateGuard::builder().memory_store(store).build().unwrap();
    let (mut denied, mut banned, mut ban_ends) = (0, 0, HashMap::new());
    for request in requests {
        clock.0.store(START * 1_000_000 + request.millis * 1_000, Relaxed);
        let key = ip_key(request);
        let check = guard.request(policy, &key).cost(cost);
        let decision = if count == Count::All {
            ready(check.check()).unwrap()
        } else {
            let reservation = ready(check.exempt_from_ban().reserve()).unwrap();
            let decision = reservation.decision().clone();
            if decision.is_allowed() && !count.counts(request.status) {
                ready(reservation.refund()).unwrap();
            } else if decision.is_allowed() {
                ready(guard.record_offence(policy, &guard.hashed_key(&key)));
            }
            decision
        };
        denied += u64::from(!decision.is_allowed());
        if let Some(ban) = decision.banned_for().filter(|_| !decision.is_allowed()) {
            // A denial that starts a ban belongs to its quota.
            let now = clock.now();
            let end = ban_ends.insert(key, now + ban);
            banned += u64::from(count != Count::All || end.is_some_and(|end| now < end));
        }
    }
    (denied, banned)
}

#[test]
fn replay_of_a_policies_file_equals_the_guard() {
    for (rate, setting, cost, count) in [
        ("3/10s", "", 1, "all"),
        ("3/second; 10/minute; 40/5 minutes", "", 1, "all"),
        ("10/minute", "cost = 3", 3, "all"),
        ("20/minute token_bucket burst 5", "", 1, "all"),
        ("10/minute sliding_window_counter", "", 1, "all"),
        ("10/minute fixed_window", "", 1, "all"),
        ("30/calendar hour Asia/Kathmandu", "", 1, "all"),
        ("3/10s", "ban = \"4/minute for 20s up to 5m\"", 1, "all"),
        ("2/minute", "count = \"status:401\"", 1, "status:401"),
        ("20/minute", "count = \"failure\"\nban = \"5/minute for 30s\"", 1, "failure"),
    ] {
        for seed in [1, 2, 3] {
            let requests = traffic(seed, 2_000);
            let text = format!("[policies.api]\nrate = \"{rate}\"\nkey = \"ip\"\n{setting}\n");
            let file = TestFile::new("policies.toml", &text);
            let ban = setting.split_once("ban = \"").and_then(|(_, ban)| ban.split('"').next());
            let mut policy = Policy::new("api", rate).unwrap();
            if let Some(ban) = ban {
                policy = policy.ban(ban).unwrap();
            }
            let expected = guard_denies(&policy, &requests, cost, count.parse().unwrap());
            assert!(expected.0 > 20, "expected a rate that denies requests: {rate}");
            assert_eq!(expected.1 > 0, ban.is_some(), "{text}");

            let result = replay_json(&["--policies", file.path()], json_log(&requests));
            let [denied, banned] = numbers(&result, ["denied", "denied_while_banned"]);
            assert_eq!((denied, banned), expected, "{text}");
            let [allowed, requests] = numbers(&result, ["allowed", "requests"]);
            assert_eq!(allowed + denied, requests);
        }
    }
}

#[test]
fn arguments_of_a_rate_equal_the_guard() {
    let requests = traffic(7, 2_000);
    let policy = Policy::new("replay", "12/minute token_bucket").unwrap();
    let expected = guard_denies(&policy, &requests, 2, "status:!5xx".parse().unwrap()).0;
    let arguments = [
        "--rate",
        "12/minute",
        "--algorithm",
        "token_bucket",
        "--cost",
        "2",
        "--count",
        "status:!5xx",
    ];
    let result = replay_json(&arguments, json_log(&requests));
    assert_eq!(numbers(&result, ["denied"]), [expected]);
}

#[test]
fn keys_decide_separately() {
    let requests = traffic(9, 1_000);
    let denied = |key: &str| {
        let result = replay_json(&["--rate", "5/minute", "--key", key], json_log(&requests));
        numbers(&result, ["denied", "keys"])
    };
    let expected = |key: fn(&Request) -> String| {
        let policy = Policy::new("api", "5/minute").unwrap();
        let mut keys: Vec<String> = requests.iter().map(key).collect();
        let keyed: Vec<Request> =
            requests.iter().map(|it| Request { ip: key(it), ..it.clone() }).collect();
        keys.sort();
        keys.dedup();
        [guard_denies(&policy, &keyed, 1, Count::All).0, keys.len() as u64]
    };
    let network = |it: &Request| it.ip.split("::").next().unwrap_or_default().to_owned();
    assert_eq!(denied("global"), expected(|_| "global".to_owned()));
    assert_eq!(denied("method"), expected(|it| it.method.to_owned()));
    assert_eq!(denied("ip"), expected(network));
    assert_eq!(denied("ip/128"), expected(|it| it.ip.replace("::", "-")));
    assert_eq!(
        denied("ip+method"),
        expected(|it| format!("{}{}", it.ip.split("::").next().unwrap(), it.method))
    );
    // A request without a user is counted by its client.
    assert_eq!(
        denied("user"),
        expected(|it| match it.user {
            "-" => it.ip.split("::").next().unwrap().to_owned(),
            user => user.to_owned(),
        })
    );
}
