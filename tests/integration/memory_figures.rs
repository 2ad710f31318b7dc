//! Measures how much memory Redis uses for a key.
//!
//! The command `scripts/test memory_figures -- --nocapture` prints the table of docs/algorithms.md. The assertions only
//! check the order of magnitude.

#![allow(clippy::print_stdout, reason = "it prints figures")]

use actix_rateguard::{Algorithm, Key, Policy, RateGuard, builder::LogEncoding};

use crate::support::{TEST_TIMEOUT, redis_server::RedisServer};

const LIMITS: [u32; 5] = [1, 5, 10, 100, 1_000];

/// Returns the number of bytes that Redis uses for the only key on the server, including its name, its entries and
/// the overhead of Redis.
fn key_bytes(client: &mut redis::Connection) -> u64 {
    let names: Vec<String> = redis::cmd("KEYS").arg("*").query(client).unwrap();
    let [name] = &names[..] else { panic!("{names:?}") };
    redis::cmd("MEMORY").arg("USAGE").arg(name).arg("SAMPLES").arg(0).query(client).unwrap()
}

async fn is_admitted(guard: &RateGuard, policy: &Policy, key: &Key) -> bool {
    guard.check(policy, key).await.unwrap().is_allowed()
}

/// Returns the memory of a key after one admitted request, after `limit` admitted requests, and after 100 more denied
/// requests.
async fn measure(algorithm: Algorithm, log: LogEncoding, limit: u32) -> [u64; 3] {
    // Each measurement starts its own Redis server, so the server has only one key.
    let redis = RedisServer::start();
    let mut client = redis.client();
    let settings = redis.settings("rateguard").log_encoding(log);
    let guard = settings.deadline(TEST_TIMEOUT).build().unwrap();
    let policy = Policy::new("search", format!("{limit}/day {algorithm}")).unwrap();
    let key = Key::from("ann");
    assert!(is_admitted(&guard, &policy, &key).await);
    let one = key_bytes(&mut client);
    for _ in 1..limit {
        assert!(is_admitted(&guard, &policy, &key).await);
    }
    let full = key_bytes(&mut client);
    for _ in 0..100 {
        assert!(!is_admitted(&guard, &policy, &key).await);
    }
    [one, full, key_bytes(&mut client)]
}

#[tokio::test]
async fn memory_per_key_is_bounded_and_denials_add_none() {
    println!(
        "{:<24}{:>12}{}",
        "bytes",
        "one request",
        LIMITS.map(|it| format!("{it:>9}")).concat()
    );
    let packed = Algorithm::NAMES.map(|(algorithm, name)| (algorithm, LogEncoding::Packed, name));
    let sorted = (Algorithm::SlidingWindow, LogEncoding::SortedSet, "the same, sorted set");
    for (algorithm, log, name) in packed.into_iter().chain([sorted]) {
        let mut row = Vec::new();
        for limit in LIMITS {
            let [one, full, denied] = measure(algorithm, log, limit).await;
            assert_eq!(denied, full, "{name} {limit}");
            assert!((80..400).contains(&one), "{name}: {one}");
            row.push((one, full));
        }
        let full = row.iter().map(|(_, full)| format!("{full:>9}"));
        println!("{name:<24}{:>12}{}", row[0].0, full.collect::<String>());
        // The maximum number of bytes for each log entry. An algorithm without a log stores a hash with a fixed number
        // of fields, so the size of its key must not grow.
        let max_entry_bytes = match (algorithm, log) {
            (Algorithm::SlidingWindow, LogEncoding::SortedSet) => 180,
            (Algorithm::SlidingWindow, _) => 30,
            _ => 0,
        };
        for ((one, full), limit) in row.into_iter().zip(LIMITS) {
            assert!(
                full <= one + 32 + u64::from(limit) * max_entry_bytes,
                "{name} {limit}: {full}"
            );
        }
    }
}
