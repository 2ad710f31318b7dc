//! Tests the algorithms with guards and over HTTP. The tests with random traces are in `traces.rs`.

use std::time::Duration;

use actix_rateguard::{
    Algorithm, Key, Policy, Quota, RateGuard, RateLimit,
    builder::LogEncoding,
    rate_limit,
    test_util::{self, ManualClock},
};
use actix_web::{App, get, test::init_service, web};
use futures_util::FutureExt;

use crate::support::{
    TEST_TIMEOUT,
    app::{get, statuses},
    redis_server::RedisServer,
};

/// Returns whether a guard with the memory store admits a request at each of these times, which are in seconds.
fn admitted(rate: &str, seconds: &[u64]) -> Vec<bool> {
    let (guard, clock) = test_util::guard();
    let policy = Policy::new("p", rate).unwrap();
    let check = |second: &u64| {
        clock.set(Duration::from_micros(second * 1_000_000));
        guard.allows(&policy, &Key::global()).now_or_never().unwrap()
    };
    seconds.iter().map(check).collect()
}

#[test]
fn each_algorithm_admits_requests_by_its_definition() {
    const YES: bool = true;
    const NO: bool = false;
    // The first request, at 100, starts a window that ends at 110. Two requests arrive exactly at 110.
    let times = [100, 109, 110, 110, 118, 119, 120];
    for (algorithm, _) in Algorithm::NAMES {
        let expected: &[(&str, [bool; 7])] = match algorithm {
            Algorithm::SlidingWindow => &[("2/10s", [YES, YES, YES, NO, NO, YES, YES])],
            Algorithm::FixedWindow => &[("2/10s fixed_window", [YES, YES, YES, YES, NO, NO, YES])],
            // The counter uses the windows from 100 to 110 and from 110 to 120.
            Algorithm::SlidingWindowCounter => {
                &[("2/10s sliding_window_counter", [YES, YES, NO, NO, YES, NO, YES])]
            }
            // The token bucket refills one token every 5 seconds.
            Algorithm::TokenBucket => &[
                ("2/10s token_bucket", [YES, YES, YES, NO, YES, YES, NO]),
                ("2/10s token_bucket burst 1", [YES, YES, NO, NO, YES, NO, NO]),
                ("2/10s token_bucket burst 3", [YES, YES, YES, YES, YES, YES, NO]),
            ],
            Algorithm::Concurrency | Algorithm::Calendar => continue,
        };
        for (rate, expected) in expected {
            assert_eq!(admitted(rate, &times), expected, "{rate}");
        }
    }
}

fn policy_with(algorithm: Algorithm) -> Policy {
    let quota: Quota = "3/hour".parse().unwrap();
    Policy::new("p", quota.with_algorithm(algorithm).unwrap()).unwrap()
}

/// Uses up a quota with the algorithm `from`. Then changes the algorithm to `to`, back to `from`, and again to `to`,
/// with a check after each change.
async fn assert_change_preserves_counts(
    guard: &RateGuard,
    from: Algorithm,
    to: Algorithm,
    key: &Key,
) {
    for remaining in [2, 1] {
        let decision = guard.check(&policy_with(from), key).await.unwrap();
        assert_eq!((decision.is_allowed(), decision.remaining()), (true, remaining), "{from}");
    }
    let decision = guard.check(&policy_with(to), key).await.unwrap();
    assert_eq!((decision.is_allowed(), decision.remaining()), (true, 0), "{from} to {to}");
    for algorithm in [to, from, to] {
        let decision = guard.check(&policy_with(algorithm), key).await.unwrap();
        assert!(!decision.is_allowed(), "{from} to {to}, checked under {algorithm}");
        assert!(decision.retry_after().unwrap() > Duration::ZERO);
    }
}

/// An algorithm that counts in fractions must reject a quota that it cannot count exactly.
#[tokio::test]
async fn every_accepted_quota_is_counted_exactly() {
    const LIMIT: u32 = 2_147_483_647;
    let server = RedisServer::start();
    let key = Key::global();
    for guard in [RateGuard::in_memory(), server.guard("exactly")] {
        // The test skips logs, because a log would need an entry for each of these units.
        for (_, name) in Algorithm::NAMES.into_iter().filter(|(algorithm, _)| !algorithm.is_log()) {
            let Ok(policy) = Policy::new(name, format!("{LIMIT}/365d {name}")) else { continue };
            let all = guard.request(&policy, &key).cost(LIMIT).check().await.unwrap();
            assert_eq!((all.is_allowed(), all.remaining()), (true, 0), "{name}");
            assert!(!guard.allows(&policy, &key).await, "{name}");
        }
    }
}

#[tokio::test]
async fn algorithm_change_applies_immediately_and_preserves_counts() {
    let server = RedisServer::start();
    let on_redis = server.guard("change");
    for (from, from_name) in Algorithm::NAMES {
        for (to, to_name) in Algorithm::NAMES {
            let (in_memory, clock) = test_util::guard();
            clock.set(Duration::from_micros(1_800_000_000_000_000));
            let key = Key::from_parts([from_name, to_name]);
            assert_change_preserves_counts(&in_memory, from, to, &key).await;
            assert_change_preserves_counts(&on_redis, from, to, &key).await;
        }
    }
    // Every key in Redis must have an expiry.
    let mut client = server.client();
    let names: Vec<String> = redis::cmd("KEYS").arg("change:*").query(&mut client).unwrap();
    assert_eq!(names.len(), Algorithm::NAMES.len().pow(2));
    for name in names {
        let expires: i64 = redis::cmd("PTTL").arg(&name).query(&mut client).unwrap();
        assert!(expires > 0, "{name}");
    }
}

#[tokio::test]
async fn quota_change_applies_immediately_without_refill() {
    let server = RedisServer::start();
    let on_redis = server.guard("changed");
    for (algorithm, name) in Algorithm::NAMES {
        let (in_memory, clock) = test_util::guard();
        clock.set(Duration::from_micros(1_800_000_000_000_000));
        for guard in [&in_memory, &on_redis] {
            let check = async |rate: &str| {
                let quota: Quota = rate.parse().unwrap();
                let policy = Policy::new(name, quota.with_algorithm(algorithm).unwrap()).unwrap();
                guard.check(&policy, &Key::global()).await.unwrap()
            };
            for _ in 0..3 {
                assert!(check("3/hour").await.is_allowed(), "{name}");
            }
            for rate in ["3/hour", "2/hour", "3/day", "3/2 hours", "1/minute"] {
                assert!(!check(rate).await.is_allowed(), "{name} {rate}");
            }
            // The limit is now higher by one unit, so the guard admits one more request.
            assert!(check("4/hour").await.is_allowed(), "{name}");
            assert!(!check("4/hour").await.is_allowed(), "{name}");
        }
    }
}

/// The store does not discard units above a lower limit, and counts them again after the limit is raised.
#[tokio::test]
async fn lower_limit_with_new_algorithm_does_not_refill() {
    let server = RedisServer::start();
    let sets = RateGuard::redis(server.url()).prefix("sets").log_encoding(LogEncoding::SortedSet);
    let sets = sets.deadline(TEST_TIMEOUT).build().unwrap();
    let (in_memory, clock) = test_util::guard();
    clock.set(Duration::from_micros(1_800_000_000_000_000));
    for guard in [&in_memory, &server.guard("lowered"), &sets] {
        for ((_, one), (_, other)) in
            Algorithm::NAMES.iter().flat_map(|it| Algorithm::NAMES.map(|other| (it, other)))
        {
            let key = Key::from_parts([*one, other]);
            let check = async |limit: u32, algorithm: &str| {
                let policy = Policy::new("p", format!("{limit}/365d {algorithm}")).unwrap();
                let decision = guard.check(&policy, &key).await.unwrap();
                (decision.is_allowed(), decision.remaining())
            };
            for left in (0..40).rev() {
                assert_eq!(check(40, one).await, (true, left), "{one}");
            }
            assert_eq!(check(3, other).await, (false, 0), "{one} to {other}");
            assert_eq!(check(40, one).await, (false, 0), "{one} to {other} and back");
            assert_eq!(check(42, other).await, (true, 1), "{one} to {other}");
        }
    }
}

#[tokio::test]
async fn quota_list_change_preserves_counts_by_index() {
    let server = RedisServer::start();
    for guard in [RateGuard::in_memory(), server.guard("lists")] {
        let check = async |quotas: &str| {
            let policy = Policy::new("list", quotas).unwrap();
            let decision = guard.check(&policy, &Key::global()).await.unwrap();
            let left: Vec<_> = decision.statuses().iter().map(|it| it.remaining()).collect();
            (decision.is_allowed(), left)
        };
        assert_eq!(check("5/hour; 9/day").await, (true, vec![4, 8]));
        // The policy first gets a third quota, then it has only one quota, and then the limits and algorithms of its
        // quotas change.
        assert_eq!(check("5/hour; 9/day; 20/365d").await, (true, vec![3, 7, 19]));
        assert_eq!(check("5/hour").await, (true, vec![2]));
        assert_eq!(check("4/hour; 9/2 days; 20/365d").await, (true, vec![0, 6, 18]));
        assert_eq!(check("4/hour fixed_window; 9/day").await, (false, vec![0, 6]));
    }
}

#[tokio::test]
async fn token_bucket_rate_change_preserves_missing_tokens() {
    let server = RedisServer::start();
    let on_redis = server.guard("rate");
    let (in_memory, clock) = test_util::guard();
    clock.set(Duration::from_micros(1_800_000_000_000_000));
    for guard in [&in_memory, &on_redis] {
        let check = async |rate: &str| {
            let policy = Policy::new("p", rate).unwrap();
            guard.check(&policy, &Key::global()).await.unwrap()
        };
        while check("1000/day token_bucket").await.is_allowed() {}
        for (rate, wait) in [
            // With 5 tokens per day, 996 of the 1000 missing tokens must be refilled before the store admits a
            // request.
            ("5/day token_bucket", 996 * 86_400 / 5),
            // With this slow refill, the store limits the missing tokens to the maximum debt.
            ("1/365d token_bucket", (1_u64 << 52) / 1_000_000),
        ] {
            let retry_after = check(rate).await.retry_after().expect("no refill").as_secs();
            assert!(retry_after.abs_diff(wait) < wait / 100, "{rate}: {retry_after} s");
        }
    }
}

/// The test cannot change the clock of Redis. Instead it moves the stored time stamps to the future, which has the
/// same effect as a backward clock step.
#[tokio::test]
async fn redis_clock_step_back_does_not_deny_keys_permanently() {
    let server = RedisServer::start();
    let guard = server.guard("back");
    let mut client = server.client();
    for (algorithm, _) in Algorithm::NAMES {
        // The position of the time stamp in the record.
        let position = match algorithm {
            Algorithm::FixedWindow => 1,
            Algorithm::SlidingWindowCounter | Algorithm::TokenBucket => 8,
            // A log is not a record. `backward_server_clock_step_locks_out_no_client` tests it.
            Algorithm::SlidingWindow | Algorithm::Concurrency | Algorithm::Calendar => continue,
        };
        let quota: Quota = "2/300ms".parse().unwrap();
        let policy =
            Policy::new(algorithm.to_string(), quota.with_algorithm(algorithm).unwrap()).unwrap();
        while guard.allows(&policy, &Key::global()).await {}
        let names: Vec<String> =
            redis::cmd("KEYS").arg(format!("back:*:{algorithm}")).query(&mut client).unwrap();
        let record: Vec<u8> = redis::cmd("GET").arg(&names[0]).query(&mut client).unwrap();
        let (mut bytes, stamp) = ([0; 8], position..position + 7);
        bytes[1..].copy_from_slice(&record[stamp.clone()]);
        // A counter stores the start of a window. Therefore the test moves the time stamps by one hour, which is a
        // multiple of the window.
        let future = u64::from_be_bytes(bytes) + 3_600_000_000;
        let mut record = record;
        record[stamp].copy_from_slice(&future.to_be_bytes()[1..]);
        let _: () = redis::cmd("SET").arg(&names[0]).arg(&record).query(&mut client).unwrap();
        // The client always waits for half of `retry_after` before the next check. The checks that arrive too early
        // must not extend the wait.
        let start = std::time::Instant::now();
        while let Some(wait) = guard.check(&policy, &Key::global()).await.unwrap().retry_after() {
            assert!(wait <= Duration::from_millis(600), "{algorithm}: {wait:?}");
            assert!(start.elapsed() < Duration::from_secs(60), "{algorithm}");
            tokio::time::sleep(wait / 2).await;
        }
        let expires: i64 = redis::cmd("PTTL").arg(&names[0]).query(&mut client).unwrap();
        assert!((1..=1_600).contains(&expires), "{algorithm}: {expires}");
    }
}

#[get("/bucket")]
#[rate_limit(rate = "1/second", algorithm = "token_bucket", burst = 3)]
async fn bucket() -> &'static str {
    "ok"
}

#[get("/algorithm-in-rate")]
#[rate_limit(rate = "1/minute token_bucket burst 20; 1000/day", algorithm = "token_bucket")]
async fn algorithm_in_rate() -> &'static str {
    "ok"
}

#[get("/fixed")]
#[rate_limit(limit = 2, window = "10s", algorithm = "fixed_window")]
async fn fixed() -> &'static str {
    "ok"
}

#[actix_web::test]
async fn attribute_and_middleware_accept_the_same_algorithms() {
    let (guard, clock): (RateGuard, ManualClock) = test_util::guard();
    let app = init_service(
        App::new().app_data(guard.clone()).service(bucket).service(fixed).service(
            web::resource("/middleware")
                .wrap(RateLimit::new(&guard, "1/second token_bucket burst 3"))
                .route(web::get().to(async || "ok")),
        ),
    )
    .await;
    let other = app!(guard, algorithm_in_rate);
    assert_eq!(get(&other, 1, "/algorithm-in-rate").await.numbers().unwrap()[..2], [20, 19]);
    clock.set(Duration::from_micros(1_000_000_000));
    for path in ["/bucket", "/middleware"] {
        assert_eq!(get(&app, 1, path).await.numbers(), Some([3, 2, 1]), "{path}");
        assert_eq!(statuses(&app, 1, path, 3).await, [200, 200, 429], "{path}");
    }
    assert_eq!(get(&app, 1, "/fixed").await.numbers(), Some([2, 1, 10]));
    clock.advance(Duration::from_secs(1));
    for path in ["/bucket", "/middleware"] {
        assert_eq!(statuses(&app, 1, path, 2).await, [200, 429], "{path}");
    }
    assert_eq!(get(&app, 1, "/fixed").await.numbers(), Some([2, 0, 9]));
}
