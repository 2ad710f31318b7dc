//! Tests the operations that an operator can request: reset, ban and unban.

use std::time::Duration;

use actix_rateguard::{
    Key, OnError, Policy, RateGuard, StoreError,
    error::BanError,
    rate_limit,
    test_util::{self, FaultyStore},
};
use actix_web::{App, get, test::init_service};
use futures_util::future::join_all;
use serde_json::json;

use super::{endpoints, post, post_json};
use crate::support::{TEST_TIMEOUT, app::get as send_get, redis_server::RedisServer};

const SECOND: Duration = Duration::from_secs(1);

#[get("/op-login")]
#[rate_limit(rate = "2/minute", key = "ip", ban = "3/minute for 30s up to 2m", name = "op-login")]
async fn login() -> &'static str {
    "ok"
}

fn policy() -> Policy {
    Policy::new("op-banned", "2/minute").unwrap().ban("3/minute for 30s up to 2m").unwrap()
}

#[actix_web::test]
async fn concurrent_bans_do_not_add_up() {
    let redis = RedisServer::start();
    let guard = redis.settings_with_denial_cache("at-once").deadline(TEST_TIMEOUT).build().unwrap();
    let policy = policy();
    for (name, existing_ban) in [("free", None), ("banned", Some(60 * SECOND))] {
        let key = Key::from(name);
        if let Some(length) = existing_ban {
            guard.ban(&policy, &key, length).await.unwrap();
        }
        for length in [6_000 * SECOND, 90 * 86_400 * SECOND] {
            let bans = join_all((0..5).map(|_| guard.ban(&policy, &key, length))).await;
            assert!(bans.iter().all(Result::is_ok), "{bans:?}");
            let left = guard.peek(&policy, &key).await.unwrap().banned_for().unwrap();
            assert!((length - 600 * SECOND..=length + SECOND).contains(&left), "{left:?}");
        }
    }
    // If simultaneous bans of one key have different durations, the longest ban applies. Each call returns the
    // duration that applies, which is not shorter than the requested duration.
    for round in 0..40_u32 {
        let key = Key::from(format!("round {round}"));
        if round % 2 == 0 {
            guard.ban(&policy, &key, 100 * SECOND).await.unwrap();
        }
        let lengths: Vec<_> = (1..=2 + round % 7).map(|number| 10_000 * number * SECOND).collect();
        let bans = join_all(lengths.iter().map(|length| guard.ban(&policy, &key, *length))).await;
        let left = guard.peek(&policy, &key).await.unwrap().banned_for().unwrap();
        let longest = *lengths.last().unwrap();
        for (returned, length) in bans.into_iter().map(Result::unwrap).zip(lengths) {
            assert!((length - 600 * SECOND..=longest + SECOND).contains(&returned), "{returned:?}");
        }
        assert!((longest - 600 * SECOND..=longest + SECOND).contains(&left), "{left:?}");
    }
}

#[actix_web::test]
async fn manual_ban_lasts_for_its_length_and_is_never_shortened() {
    let (guard, clock) = test_util::guard();
    let (policy, ann) = (policy(), Key::from("ann"));
    let left = async || guard.peek(&policy, &ann).await.unwrap().banned_for();
    assert_eq!(guard.ban(&policy, &ann, 60 * SECOND).await, Ok(60 * SECOND));
    assert_eq!(left().await, Some(60 * SECOND));
    let denied = guard.check(&policy, &ann).await.unwrap();
    assert_eq!((denied.is_allowed(), denied.retry_after()), (false, Some(60 * SECOND)));
    assert!(guard.check(&policy, &Key::from("bob")).await.unwrap().is_allowed());
    clock.advance(20 * SECOND);
    assert_eq!(guard.ban(&policy, &ann, 10 * SECOND).await, Ok(40 * SECOND));
    assert_eq!(guard.ban(&policy, &ann, 90 * SECOND).await, Ok(90 * SECOND));
    clock.advance(90 * SECOND - Duration::from_micros(1));
    assert!(left().await.is_some());
    clock.advance(Duration::from_micros(1));
    assert_eq!(left().await, None);
    assert!(guard.check(&policy, &ann).await.unwrap().is_allowed());

    // The duration of a ban is rounded up to whole seconds. It must be between 1 second and 90 days.
    assert_eq!(guard.ban(&policy, &ann, SECOND * 3 / 2).await, Ok(2 * SECOND));
    for length in [Duration::ZERO, SECOND - Duration::from_nanos(1), 91 * 86_400 * SECOND] {
        assert_eq!(guard.ban(&policy, &ann, length).await, Err(BanError::Length));
    }
    let longest = 90 * 86_400 * SECOND;
    assert_eq!(guard.ban(&policy, &Key::from("eve"), longest).await, Ok(longest));
}

#[actix_web::test]
async fn unban_clears_offences_and_retains_counts() {
    let (guard, clock) = test_util::guard();
    let (policy, ann) = (policy(), Key::from("ann"));
    let check = async || guard.check(&policy, &ann).await.unwrap();
    assert_eq!(guard.ban(&policy, &ann, SECOND).await, Ok(SECOND));
    clock.advance(SECOND);
    let offend = async || {
        for _ in 0..5 {
            check().await;
        }
        guard.peek(&policy, &ann).await.unwrap().banned_for()
    };
    assert_eq!(offend().await, Some(30 * SECOND));
    guard.unban(&policy, &ann).await.unwrap();
    let denied = check().await;
    assert_eq!((denied.is_allowed(), denied.banned_for(), denied.remaining()), (false, None, 0));
    // An unban also deletes the record of earlier bans in the store. Therefore the next ban has the initial duration
    // again.
    assert_eq!(offend().await, Some(30 * SECOND));
    guard.unban(&policy, &Key::from("bob")).await.unwrap();
}

#[actix_web::test]
async fn policy_without_ban_rejects_manual_ban() {
    let guard = RateGuard::in_memory();
    let plain = Policy::new("op-plain", "2/minute").unwrap();
    let ann = Key::from("ann");
    assert_eq!(guard.ban(&plain, &ann, SECOND).await, Err(BanError::NoBan));
    assert_eq!(guard.unban(&plain, &ann).await, Err(BanError::NoBan));
}

#[actix_web::test]
async fn manual_ban_fails_when_the_store_is_unreachable() {
    let store = FaultyStore::new(actix_rateguard::MemoryStore::new());
    let guard = RateGuard::builder().store(store.clone()).build().unwrap();
    store.fail(StoreError::Unreachable(None));
    let (policy, ann) = (policy(), Key::from("ann"));
    for error in [
        guard.ban(&policy, &ann, SECOND).await.unwrap_err(),
        guard.unban(&policy, &ann).await.unwrap_err(),
    ] {
        let BanError::Unavailable(unavailable) = error else { panic!("{error:?}") };
        assert_eq!(unavailable.cause(), StoreError::Unreachable(None));
    }
}

#[actix_web::test]
async fn manual_ban_and_unban_apply_to_the_local_fallback() {
    let store = FaultyStore::new(actix_rateguard::MemoryStore::new());
    let guard = RateGuard::builder().store(store.clone()).on_error(OnError::Local).build().unwrap();
    let (policy, ann, bob) = (policy(), Key::from("ann"), Key::from("bob"));
    guard.ban(&policy, &ann, 3_600 * SECOND).await.unwrap();
    guard.ban(&policy, &bob, 3_600 * SECOND).await.unwrap();
    guard.unban(&policy, &bob).await.unwrap();
    store.fail(StoreError::Unreachable(None));
    let decided = guard.check(&policy, &ann).await.unwrap();
    assert!(decided.is_local() && decided.banned_for().is_some(), "{decided:?}");
    assert!(guard.check(&policy, &bob).await.unwrap().is_allowed());
}

#[actix_web::test]
async fn operations_of_the_endpoints_apply_on_another_server() {
    let redis = RedisServer::start();
    // Both application servers use the default denial cache.
    let server = || redis.settings_with_denial_cache("op").deadline(TEST_TIMEOUT).build().unwrap();
    let (local, remote) = (server(), server());
    let operator = init_service(App::new().service(endpoints(&local))).await;
    let app = app!(remote, login);
    let client = json!({"policy": "op-login", "address": "192.0.2.1"});
    let status = async || send_get(&app, 1, "/op-login").await.status;
    let eventually = async |expected: u16| {
        let start = std::time::Instant::now();
        while status().await != expected {
            assert!(start.elapsed() < TEST_TIMEOUT, "{expected}");
            actix_web::rt::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert_eq!([status().await, status().await, status().await], [200, 200, 429]);
    post_json(&operator, "reset", &client).await;
    // The second server must admit the client when its cached denial has expired.
    eventually(200).await;

    let mut ban = client.clone();
    ban["for_seconds"] = 3_600.into();
    let banned = post_json(&operator, "ban", &ban).await;
    assert!(banned["banned_for_seconds"].as_f64().unwrap() > 3_500.0, "{banned}");
    assert!(banned["banned_until_unix_seconds"].as_f64().unwrap() > 1_700_000_000.0, "{banned}");
    let response = send_get(&app, 1, "/op-login").await;
    assert_eq!(response.status, 429);
    assert!(
        response.header("retry-after").unwrap().parse::<u64>().unwrap() > 3_500,
        "{response:?}"
    );
    // A new ban that is longer than the current ban replaces it. A shorter ban has no effect.
    for (seconds, left) in [(7_200, 7_200.0), (60, 7_200.0)] {
        ban["for_seconds"] = seconds.into();
        let banned =
            post_json(&operator, "ban", &ban).await["banned_for_seconds"].as_f64().unwrap();
        // The duration is rounded up to whole seconds. Therefore the ban may be longer by up to one second.
        assert!((left - 120.0..=left + 1.0).contains(&banned), "{banned}");
    }
    let explanation = post_json(&operator, "explain", &client).await;
    assert_eq!(explanation["passes"], false);
    assert!(explanation["banned_for_seconds"].as_f64().unwrap() > 3_500.0, "{explanation}");

    post_json(&operator, "unban", &client).await;
    post_json(&operator, "reset", &client).await;
    eventually(200).await;
    // The ban of one client must not affect other clients.
    assert_eq!(send_get(&app, 2, "/op-login").await.status, 200);
    assert_eq!(post(&operator, "ban", &client).await.status, 400);
}

#[test]
fn manual_ban_and_unban_work_with_a_key_secret() {
    actix_web::rt::System::new().block_on(async {
        let guard = RateGuard::builder().key_secret("sixteen bytes...").build().unwrap();
        let (policy, ann) = (policy(), Key::from("ann"));
        guard.ban(&policy, &ann, 60 * SECOND).await.unwrap();
        assert!(guard.check(&policy, &ann).await.unwrap().banned_for().is_some());
        guard.unban(&policy, &ann).await.unwrap();
        assert!(guard.check(&policy, &ann).await.unwrap().is_allowed());
    });
}
