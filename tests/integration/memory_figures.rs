//! What a key takes of Redis's memory. `scripts/test memory_figures -- --nocapture` prints the table that the README
//! has; here, the figures only have to be of that order.

#![allow(clippy::print_stdout, reason = "it prints figures")]

use rateguard::{Algorithm, Key, Policy, RateGuard, RedisLog};

use crate::support::{PATIENCE, redis_server::RedisServer};

const LIMITS: [u32; 5] = [1, 5, 10, 100, 1_000];

/// The bytes of the one key that there is, with its name and all that Redis keeps beside it, and of its entries.
fn bytes(client: &mut redis::Connection) -> u64 {
    let names: Vec<String> = redis::cmd("KEYS").arg("*").query(client).unwrap();
    let [name] = &names[..] else { panic!("{names:?}") };
    redis::cmd("MEMORY").arg("USAGE").arg(name).arg("SAMPLES").arg(0).query(client).unwrap()
}

async fn admitted(guard: &RateGuard, policy: &Policy, key: &Key) -> bool {
    guard.check(policy, key).await.unwrap().is_allowed()
}

/// With one request, with as many as the limit, and after denials.
async fn measured(algorithm: Algorithm, log: RedisLog, limit: u32) -> [u64; 3] {
    // A server of its own, so that there is one key in it.
    let redis = RedisServer::start();
    let mut client = redis.client();
    let settings = redis.settings("rateguard").redis_log(log);
    let guard = settings.deadline(PATIENCE).build().unwrap();
    let policy = Policy::new("search", format!("{limit}/day {algorithm}")).unwrap();
    let key = Key::from("ann");
    assert!(admitted(&guard, &policy, &key).await);
    let one = bytes(&mut client);
    for _ in 1..limit {
        assert!(admitted(&guard, &policy, &key).await);
    }
    let full = bytes(&mut client);
    for _ in 0..100 {
        assert!(!admitted(&guard, &policy, &key).await);
    }
    [one, full, bytes(&mut client)]
}

#[tokio::test]
async fn a_key_takes_what_the_readme_says_and_denials_add_nothing() {
    println!(
        "{:<24}{:>12}{}",
        "bytes",
        "one request",
        LIMITS.map(|it| format!("{it:>9}")).concat()
    );
    let packed = Algorithm::NAMES.map(|(algorithm, name)| (algorithm, RedisLog::Packed, name));
    let sorted = (Algorithm::SlidingWindow, RedisLog::SortedSet, "the same, sorted set");
    for (algorithm, log, name) in packed.into_iter().chain([sorted]) {
        let mut row = Vec::new();
        for limit in LIMITS {
            let [one, full, denied] = measured(algorithm, log, limit).await;
            assert_eq!(denied, full, "{name} {limit}");
            assert!((80..400).contains(&one), "{name}: {one}");
            row.push((one, full));
        }
        let full = row.iter().map(|(_, full)| format!("{full:>9}"));
        println!("{name:<24}{:>12}{}", row[0].0, full.collect::<String>());
        // An entry of a log, at the most, and what a hash has in it.
        let entry = match (algorithm, log) {
            (Algorithm::SlidingWindow, RedisLog::SortedSet) => 180,
            (Algorithm::SlidingWindow, _) => 30,
            _ => 0,
        };
        for ((one, full), limit) in row.into_iter().zip(LIMITS) {
            assert!(full <= one + 32 + u64::from(limit) * entry, "{name} {limit}: {full}");
        }
    }
}
