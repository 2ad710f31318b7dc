//! What a key takes of Redis's memory. `scripts/test memory_figures -- --nocapture` prints the table that the README
//! has; here, the figures only have to be of that order.

#![allow(clippy::print_stdout, reason = "it prints figures")]

use rateguard::{Algorithm, Key, Policy, RateGuard};

use crate::support::redis_server::RedisServer;

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
async fn measured(algorithm: &str, limit: u32) -> [u64; 3] {
    // A server of its own, so that there is one key in it.
    let redis = RedisServer::start();
    let mut client = redis.client();
    let guard = redis.guard("rateguard");
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
    for (_, algorithm) in Algorithm::NAMES {
        let mut row = Vec::new();
        for limit in LIMITS {
            let [one, full, denied] = measured(algorithm, limit).await;
            assert_eq!(denied, full, "{algorithm} {limit}");
            assert!((80..400).contains(&one), "{algorithm}: {one}");
            row.push((one, full));
        }
        let full = row.iter().map(|(_, full)| format!("{full:>9}"));
        println!("{algorithm:<24}{:>12}{}", row[0].0, full.collect::<String>());
        for ((one, full), limit) in row.into_iter().zip(LIMITS) {
            let is_log = algorithm == Algorithm::SlidingWindow.name();
            // An entry of a log, at the most, and what a hash has in it.
            let most = if is_log { one + u64::from(limit) * 180 } else { one + 32 };
            assert!(full <= most, "{algorithm} {limit}: {full}");
        }
    }
}
