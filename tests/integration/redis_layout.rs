//! Tests which keys, values, expiries and commands the store uses in Redis.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use actix_rateguard::{Algorithm, Key, Policy, Quota, RateGuard, builder::LogEncoding};
use futures_util::future::join_all;

use crate::support::{
    TEST_TIMEOUT, log_lines,
    redis_server::{RedisServer, packed_log_len, run},
};

fn keys(client: &mut redis::Connection, pattern: &str) -> Vec<String> {
    redis::cmd("KEYS").arg(pattern).query(client).unwrap()
}

/// Returns, for each command, how many times it has been called since the start of the server.
fn calls(client: &mut redis::Connection) -> HashMap<String, u64> {
    let info: String = redis::cmd("INFO").arg("commandstats").query(client).unwrap();
    info.lines()
        .filter_map(|line| {
            let (name, stats) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name.to_owned(), stats.split(',').next()?.parse().ok()?))
        })
        .collect()
}

#[tokio::test]
async fn packed_log_has_a_readable_name_and_an_expiry() {
    let server = RedisServer::start();
    let guard = server.guard("shop");
    let policy = Policy::new("cart::add", "3/10s").unwrap();
    let started = Instant::now();
    for allowed in [true, true, true, false, false] {
        let decision = guard.check(&policy, &Key::from("secret-user")).await.unwrap();
        assert_eq!(decision.is_allowed(), allowed);
    }

    let mut client = server.client();
    let names = keys(&mut client, "*");
    let [name] = &names[..] else { panic!("{names:?}") };
    assert!(name.starts_with("shop:{") && name.ends_with("}:cart::add"), "{name}");
    assert!(!name.contains("secret"));

    assert_eq!(packed_log_len(&mut client, name), 3);
    let expires: i64 = redis::cmd("PTTL").arg(name).query(&mut client).unwrap();
    // The key must expire after the window of 10 s, plus a twenty-fifth of the window, plus 1 s.
    let elapsed = i64::try_from(started.elapsed().as_millis()).unwrap();
    assert!((11_400 - elapsed..=11_400).contains(&expires), "{expires} after {elapsed} ms");
}

#[tokio::test]
async fn sorted_set_log_has_one_member_per_request() {
    let server = RedisServer::start();
    let settings = server.settings("sorted").log_encoding(LogEncoding::SortedSet);
    let guard = settings.deadline(TEST_TIMEOUT).build().unwrap();
    let policy = Policy::new("p", "3/10s").unwrap();
    for allowed in [true, true, true, false, false] {
        let decision = guard.check(&policy, &Key::global()).await.unwrap();
        assert_eq!(decision.is_allowed(), allowed);
    }
    let mut client = server.client();
    let name = keys(&mut client, "*").remove(0);
    let members: Vec<(String, f64)> = redis::cmd("ZRANGE")
        .arg(&name)
        .arg(0)
        .arg(-1)
        .arg("WITHSCORES")
        .query(&mut client)
        .unwrap();
    assert_eq!(members.len(), 3);
    assert!(members.is_sorted_by(|one, other| one.1 <= other.1));
}

#[tokio::test]
async fn denial_writes_nothing() {
    let server = RedisServer::start();
    let guard = server.guard("denials");
    let policy = Policy::new("p", "1/hour").unwrap();
    assert!(guard.check(&policy, &Key::global()).await.unwrap().is_allowed());

    let mut client = server.client();
    let dirty = |client: &mut redis::Connection| {
        let info: String = redis::cmd("INFO").arg("persistence").query(client).unwrap();
        info.lines()
            .find(|line| line.starts_with("rdb_changes_since_last_save"))
            .unwrap()
            .to_owned()
    };
    let before = dirty(&mut client);
    for _ in 0..100 {
        assert!(!guard.check(&policy, &Key::global()).await.unwrap().is_allowed());
    }
    assert_eq!(dirty(&mut client), before);
}

#[tokio::test]
async fn check_takes_one_round_trip() {
    let server = RedisServer::start();
    let guard = server.guard("trips");
    let policy = Policy::new("p", "10/hour").unwrap();
    // The first check loads the script. The test counts only the commands after this check.
    guard.check(&policy, &Key::global()).await.unwrap();
    let mut client = server.client();
    let before = calls(&mut client);
    for _ in 0..100 {
        guard.check(&policy, &Key::global()).await.unwrap();
    }
    let mut after = calls(&mut client);
    for (name, calls) in &before {
        *after.get_mut(name).unwrap() -= calls;
    }
    assert_eq!(after["evalsha"], 100);
    // The statistics of Redis also contain the commands that the script runs.
    let script = ["time", "getrange", "append", "pexpire"];
    // The test sends INFO. Each connection of the guard sends CLIENT SETINFO when it opens, and ROLE once per second.
    let others = ["info", "role", "client|setinfo", "client"];
    after.retain(|name, calls| {
        *calls > 0 && !script.contains(&&**name) && !others.contains(&&**name)
    });
    assert_eq!(after.into_keys().collect::<Vec<_>>(), ["evalsha"]);
}

#[tokio::test]
async fn every_redis_key_has_an_expiry() {
    let server = RedisServer::start();
    let guard = server.guard("expiry");
    let logs = [("a", "1/1ms"), ("b", "5/second"), ("c", "2147483648/365d")];
    let logs = logs.map(|(name, quota)| (name, quota.to_owned()));
    let each = Algorithm::NAMES.map(|(_, name)| (name, format!("5/minute {name}")));
    for (name, quota) in logs.into_iter().chain(each) {
        let policy = Policy::new(name, quota).unwrap();
        for key in 0..50_u32 {
            guard.check(&policy, &Key::from(key % 20)).await.unwrap();
        }
    }
    let mut client = server.client();
    let names = keys(&mut client, "expiry:*");
    assert!(names.len() >= 100, "{}", names.len());
    for name in names {
        // PTTL returns -1 for a key without an expiry, and -2 for a key that has been deleted.
        let expires: i64 = redis::cmd("PTTL").arg(&name).query(&mut client).unwrap();
        assert_ne!(expires, -1, "{name}");
    }
}

#[tokio::test]
async fn expiry_is_the_counted_time_plus_one_second() {
    const HOUR: i64 = 3_600_000;
    let server = RedisServer::start();
    let guard = server.guard("lives");
    let mut client = server.client();
    let mut now = || {
        let (seconds, micros): (i64, i64) = redis::cmd("TIME").query(&mut client).unwrap();
        seconds * 1_000 + micros / 1_000
    };
    // A window of the counter ends at each full hour. The test must not run at that time.
    while now() % HOUR > HOUR - 2_000 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let before = now();
    for (_, name) in Algorithm::NAMES {
        let policy = Policy::new(name, format!("4/hour {name}")).unwrap();
        guard.check(&policy, &Key::global()).await.unwrap();
    }
    let counted = now() - before;
    for (algorithm, name) in Algorithm::NAMES {
        let counts_for = match algorithm {
            Algorithm::SlidingWindow => HOUR + HOUR / 25,
            Algorithm::FixedWindow => HOUR,
            // The counter counts the unit until the end of the next window.
            Algorithm::SlidingWindowCounter => 2 * HOUR - before % HOUR,
            // The token bucket counts the unit until the token has been refilled. The key lives for a quarter longer.
            Algorithm::TokenBucket => HOUR / 4 * 5 / 4,
            Algorithm::Concurrency | Algorithm::Calendar => continue,
        };
        let names = keys(&mut client, &format!("lives:*}}:{name}"));
        let expires: i64 = redis::cmd("PTTL").arg(&names[0]).query(&mut client).unwrap();
        let elapsed = counts_for + 1_000 - expires;
        // Because of rounding, the key may live up to 2 ms too long. Some of its lifetime has already elapsed: the
        // duration of the checks, and at most 60 s for the rest of the test.
        assert!((-2..=counted + 60_000).contains(&elapsed), "{name}: {expires}");
    }
}

#[tokio::test]
async fn backward_server_clock_step_locks_out_no_client() {
    let server = RedisServer::start();
    let settings = server.settings("clock").log_encoding(LogEncoding::SortedSet);
    let guard = settings.deadline(TEST_TIMEOUT).build().unwrap();
    let policy = Policy::new("p", "2/500ms").unwrap();
    let mut client = server.client();
    guard.check(&policy, &Key::global()).await.unwrap();
    let name = keys(&mut client, "clock:*").remove(0);
    // These log entries have a time that is one hour in the future, as after a backward clock step of one hour.
    let (seconds, _): (u64, u64) = redis::cmd("TIME").query(&mut client).unwrap();
    for member in ["x", "y"] {
        let _: u64 = redis::cmd("ZADD")
            .arg(&name)
            .arg((seconds + 3_600) * 1_000_000)
            .arg(member)
            .query(&mut client)
            .unwrap();
    }
    let _: u64 = redis::cmd("PEXPIRE").arg(&name).arg(3_601_000).query(&mut client).unwrap();

    // The script must also shorten the expiry of the key when it denies a request.
    let wait = guard.check(&policy, &Key::global()).await.unwrap().retry_after().expect("denied");
    assert!(wait.as_millis() <= 500, "{wait:?}");
    let expires: i64 = redis::cmd("PTTL").arg(&name).query(&mut client).unwrap();
    assert!(expires <= 1_500, "{expires}");
    tokio::time::sleep(wait).await;
    assert!(guard.check(&policy, &Key::global()).await.unwrap().is_allowed());
    let expires: i64 = redis::cmd("PTTL").arg(&name).query(&mut client).unwrap();
    assert!(expires <= 1_500, "{expires}");
}

#[tokio::test]
async fn connection_uses_user_password_and_database() {
    let commands =
        "+evalsha +eval +time +getrange +setrange +set +append +strlen +pexpire +pttl +type +del";
    let users = format!(
        "--user default off --user limiter on >s3cret ~app:* -@all {commands} +ping +select"
    );
    let server = RedisServer::start_with(&users.split(' ').collect::<Vec<_>>());
    let policy = Policy::new("p", "1/minute").unwrap();
    let at = |credentials: &str| format!("redis://{credentials}@127.0.0.1:{}/2", server.port());
    let guard = RateGuard::redis(at("limiter:s3cret"))
        .prefix("app")
        .deadline(TEST_TIMEOUT)
        .build()
        .unwrap();
    assert!(guard.check(&policy, &Key::global()).await.unwrap().is_allowed());
    assert!(!guard.check(&policy, &Key::global()).await.unwrap().is_allowed());

    for (url, prefix, cause) in [
        (at("limiter:wrong"), "app", actix_rateguard::StoreError::Authentication),
        (at("limiter:s3cret"), "elsewhere", actix_rateguard::StoreError::Permission),
    ] {
        let guard = RateGuard::redis(url).prefix(prefix).deadline(TEST_TIMEOUT).build().unwrap();
        let unavailable = guard.check(&policy, &Key::global()).await.unwrap_err();
        assert_eq!(unavailable.cause(), cause);
        assert!(
            !format!("{unavailable:?} {unavailable} {}", unavailable.cause()).contains("s3cret")
        );
    }
}

#[tokio::test]
async fn longer_window_counts_requests_of_the_shorter_window() {
    let server = RedisServer::start();
    let guard = server.guard("longer");
    let mut client = server.client();
    for (before, before_name) in Algorithm::NAMES {
        for (after, after_name) in Algorithm::NAMES {
            let policy = |rate: &str, algorithm| {
                let quota: Quota = rate.parse().unwrap();
                let name = format!("{before_name}-{after_name}");
                Policy::new(name, quota.with_algorithm(algorithm).unwrap()).unwrap()
            };
            let (short, long) = (policy("2/20s", before), policy("2/day", after));
            for allowed in [true, true] {
                assert_eq!(
                    guard.check(&short, &Key::global()).await.unwrap().is_allowed(),
                    allowed
                );
            }
            let first = guard.check(&long, &Key::global()).await.unwrap().retry_after().unwrap();
            let name =
                keys(&mut client, &format!("longer:*}}:{before_name}-{after_name}")).remove(0);
            let expires: i64 = redis::cmd("PTTL").arg(&name).query(&mut client).unwrap();
            // With the expiry for the shorter window, the key would have expired within one minute.
            assert!(expires > 3_600_000, "{name}: {expires}");
            // A denied check must not make the retry time later.
            tokio::time::sleep(Duration::from_millis(2)).await;
            let second = guard.check(&long, &Key::global()).await.unwrap().retry_after().unwrap();
            assert!(second < first, "{name}: {first:?}, then {second:?}");
        }
    }
}

#[tokio::test]
async fn full_server_rejects_new_keys_and_loses_none() {
    let server =
        RedisServer::start_with(&["--maxmemory", "3mb", "--maxmemory-policy", "noeviction"]);
    let guard = server.guard("full");
    let policy = Policy::new("p", "1/hour").unwrap();
    let mut full = None;
    for key in 0..50_000_u32 {
        let decision = guard.check(&policy, &Key::from(key)).await.unwrap();
        assert!(decision.is_allowed());
        if decision.is_local() {
            full = Some(key);
            break;
        }
    }
    let key = full.expect("50,000 keys do not fit into 3 MB");
    // The server may have free memory again, so the test lowers `maxmemory`. Then the local fallback decides checks
    // of a new key.
    let _: () = run(&mut server.client(), "CONFIG SET maxmemory 1");
    let new = Key::from("new");
    for is_allowed in [true, false] {
        let decision = guard.check(&policy, &new).await.unwrap();
        assert_eq!((decision.is_allowed(), decision.is_local()), (is_allowed, true));
    }
    // The server must not have stored the keys for which it had no memory. The other keys must still have their
    // counts.
    let mut client = server.client();
    assert_eq!(keys(&mut client, "full:*").len(), key as usize);
    assert!(!guard.check(&policy, &Key::from(0)).await.unwrap().is_allowed());
}

#[tokio::test]
async fn failing_key_does_not_fail_its_batch() {
    let server =
        RedisServer::start_with(&["--maxmemory", "3mb", "--maxmemory-policy", "noeviction"]);
    let guard = server.guard("together");
    let policy = Policy::new("p", "1/hour").unwrap();
    let all_kinds = [Key::from("bad"), Key::from("full"), Key::from("good")];
    let [bad, full, good] = &all_kinds;
    guard.check(&policy, bad).await.unwrap();
    let mut client = server.client();
    let name = keys(&mut client, "together:*").remove(0);
    let _: () = redis::cmd("SET").arg(&name).arg("hello, world!").query(&mut client).unwrap();
    assert!(guard.check(&policy, full).await.unwrap().is_allowed());
    // The dispatcher sends most of these concurrent checks in the same batch.
    let together = join_all((0..60).map(|number| guard.check(&policy, &all_kinds[number % 3])));
    let mut admitted = 0;
    for (number, result) in together.await.into_iter().enumerate() {
        match number % 3 {
            0 => assert_eq!(result.unwrap_err().cause(), actix_rateguard::StoreError::ForeignValue),
            1 => assert!(!result.unwrap().is_allowed()),
            _ => admitted += u32::from(result.unwrap().is_allowed()),
        }
    }
    assert_eq!(admitted, 1);
    assert!(!guard.check(&policy, good).await.unwrap().is_allowed());

    // Redis has no free memory now. It can still decide a check that writes nothing. The local fallback decides the
    // other checks.
    let _: () = redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(1).query(&mut client).unwrap();
    let new: Vec<_> = (0..60_u32).map(Key::from).collect();
    let checks = new.iter().flat_map(|new| [new, full]);
    let together = join_all(checks.map(|key| guard.check(&policy, key)));
    for (number, result) in together.await.into_iter().enumerate() {
        let decision = result.unwrap();
        let is_new = number % 2 == 0;
        assert_eq!((decision.is_allowed(), decision.is_local()), (is_new, is_new));
    }
}

#[tokio::test]
async fn forbidden_command_leaves_all_quotas_unchanged() {
    let server = RedisServer::start();
    let mut client = server.client();
    for (prefix, log) in [("packed", LogEncoding::Packed), ("sorted", LogEncoding::SortedSet)] {
        let settings = server.settings(prefix).log_encoding(log);
        let guard = settings.deadline(TEST_TIMEOUT).build().unwrap();
        let quotas = "6/hour; 200/day; 10/hour fixed_window; 9/hour token_bucket burst 9";
        let policy = Policy::new("p", quotas).unwrap();
        let [one, other] = [Key::from("one"), Key::from("other")];
        for key in [&one, &other] {
            assert!(guard.check(&policy, key).await.unwrap().is_allowed());
        }
        // Without permission for SETRANGE, the script can still write the two logs. It then fails at the fixed window,
        // because it overwrites the record.
        let _: () = run(&mut client, "ACL SETUSER default -setrange");
        // The test first sends a single check. Then it sends concurrent checks, most of which are in the same batch.
        assert!(guard.check(&policy, &one).await.is_err());
        let together = (0..60).map(|number| guard.check(&policy, [&one, &other][number % 2]));
        for result in join_all(together).await {
            assert_eq!(result.unwrap_err().cause(), actix_rateguard::StoreError::Permission);
        }
        let _: () = run(&mut client, "ACL SETUSER default +setrange");
        for key in [&one, &other] {
            let decision = guard.request(&policy, key).peek().await.unwrap();
            let remaining: Vec<_> = decision.statuses().iter().map(|it| it.remaining()).collect();
            assert_eq!(remaining, [5, 199, 9, 8], "{prefix}");
        }
        for name in keys(&mut client, "*") {
            let expires: i64 = redis::cmd("PTTL").arg(&name).query(&mut client).unwrap();
            assert!(expires > 0, "{name}");
        }
    }
}

/// Tests a batch in which the script cannot read a bucket, after it has already changed another bucket.
#[tokio::test]
async fn unreadable_key_does_not_revert_counts_in_its_batch() {
    let server = RedisServer::start();
    let guard = server.settings("unreadable").deadline(TEST_TIMEOUT).build().unwrap();
    let logs = Policy::new("logs", "500/hour; 900/day").unwrap();
    let broken = Policy::new("broken", "500/hour fixed_window; 900/day token_bucket").unwrap();
    let key = Key::global();
    assert!(guard.allows(&broken, &key).await);
    let mut client = server.client();
    for name in keys(&mut client, "unreadable:*") {
        let _: () = redis::cmd("SET").arg(name).arg("not ours").query(&mut client).unwrap();
    }
    for round in 1..=3 {
        let together = (0..60).map(|number| guard.check([&logs, &broken][number % 2], &key));
        for (number, result) in join_all(together).await.into_iter().enumerate() {
            assert_eq!(result.is_ok(), number % 2 == 0, "{result:?}");
        }
        let decision = guard.request(&logs, &key).peek().await.unwrap();
        let remaining: Vec<_> = decision.statuses().iter().map(|it| it.remaining()).collect();
        assert_eq!(remaining, [500 - 30 * round, 900 - 30 * round]);
    }
}

#[tokio::test]
async fn foreign_redis_value_is_an_error_and_stays_unchanged() {
    log_lines::collect();
    let server = RedisServer::start();
    let guard = server.guard("foreign");
    let policy = Policy::new("p", "1/minute").unwrap();
    guard.check(&policy, &Key::global()).await.unwrap();
    let mut client = server.client();
    let name = keys(&mut client, "foreign:*").remove(0);
    let _: () = redis::cmd("SET").arg(&name).arg("not ours").query(&mut client).unwrap();
    for _ in 0..3 {
        let unavailable = guard.check(&policy, &Key::global()).await.unwrap_err();
        assert_eq!(unavailable.cause(), actix_rateguard::StoreError::ForeignValue);
    }
    let address = format!("127.0.0.1:{}", server.port());
    let lines = log_lines::with("the key holds a value that RateGuard did not write");
    let line = lines.iter().find(|line| line.contains(&address)).unwrap();
    assert!(
        line.contains("no other application uses the prefix of the guard (`foreign`)"),
        "{line}"
    );
    let value: String = redis::cmd("GET").arg(&name).query(&mut client).unwrap();
    assert_eq!(value, "not ours");

    // A hash that belongs to another application must cause an error too, and must not change.
    let _: () = redis::cmd("DEL").arg(&name).query(&mut client).unwrap();
    let _: () = redis::cmd("HSET").arg(&name).arg("user").arg("bob").query(&mut client).unwrap();
    for (_, name) in Algorithm::NAMES {
        let rate = format!("1/minute {name}");
        let policy = Policy::new("p", &*rate).unwrap();
        let unavailable = guard.check(&policy, &Key::global()).await.unwrap_err();
        assert_eq!(unavailable.cause(), actix_rateguard::StoreError::ForeignValue, "{rate}");
    }
    let expires: i64 = redis::cmd("PTTL").arg(&name).query(&mut client).unwrap();
    assert_eq!(expires, -1);
}
