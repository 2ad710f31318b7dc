//! Resetting, banning and unbanning by hand.

use std::time::Duration;

use actix_web::{App, get, test::init_service};
use futures_util::future::join_all;
use rateguard::{
    BanningError, Key, OnError, Policy, RateGuard, StoreError, rate_limit,
    test_util::{self, FaultyStore},
};
use serde_json::json;

use super::{endpoints, post, told};
use crate::support::{PATIENCE, app::get as ask, redis_server::RedisServer};

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
async fn bans_that_are_begun_at_once_do_not_add_up() {
    let redis = RedisServer::start();
    let guard = redis.as_usual("at-once").deadline(PATIENCE).build().unwrap();
    let policy = policy();
    for (name, under_way) in [("free", None), ("banned", Some(60 * SECOND))] {
        let key = Key::from(name);
        if let Some(length) = under_way {
            guard.ban(&policy, &key, length).await.unwrap();
        }
        for length in [6_000 * SECOND, 90 * 86_400 * SECOND] {
            let bans = join_all((0..5).map(|_| guard.ban(&policy, &key, length))).await;
            assert!(bans.iter().all(Result::is_ok), "{bans:?}");
            let left = guard.peek(&policy, &key).await.unwrap().banned_for().unwrap();
            assert!((length - 600 * SECOND..=length + SECOND).contains(&left), "{left:?}");
        }
    }
    // However many there are, and however long each of them is to be: as long as the longest, and everybody is told so.
    for round in 0..40_u32 {
        let key = Key::from(format!("round {round}"));
        if round % 2 == 0 {
            guard.ban(&policy, &key, 100 * SECOND).await.unwrap();
        }
        let lengths: Vec<_> = (1..=2 + round % 7).map(|number| 10_000 * number * SECOND).collect();
        let bans = join_all(lengths.iter().map(|length| guard.ban(&policy, &key, *length))).await;
        let left = guard.peek(&policy, &key).await.unwrap().banned_for().unwrap();
        let longest = *lengths.last().unwrap();
        for (told, length) in bans.into_iter().map(Result::unwrap).zip(lengths) {
            assert!((length - 600 * SECOND..=longest + SECOND).contains(&told), "{told:?}");
        }
        assert!((longest - 600 * SECOND..=longest + SECOND).contains(&left), "{left:?}");
    }
}

#[actix_web::test]
async fn a_ban_by_hand_lasts_as_long_as_was_said_and_is_never_shortened() {
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

    // A part of a second is a whole one, and there are bounds.
    assert_eq!(guard.ban(&policy, &ann, SECOND * 3 / 2).await, Ok(2 * SECOND));
    for length in [Duration::ZERO, SECOND - Duration::from_nanos(1), 91 * 86_400 * SECOND] {
        assert_eq!(guard.ban(&policy, &ann, length).await, Err(BanningError::Length));
    }
    let longest = 90 * 86_400 * SECOND;
    assert_eq!(guard.ban(&policy, &Key::from("eve"), longest).await, Ok(longest));
}

#[actix_web::test]
async fn it_is_no_offence_and_unbanning_forgets_those_and_no_counts() {
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
    // The ban before is forgotten, so the next one is no longer.
    assert_eq!(offend().await, Some(30 * SECOND));
    guard.unban(&policy, &Key::from("nobody")).await.unwrap();
}

#[actix_web::test]
async fn a_policy_without_a_ban_has_none_by_hand() {
    let guard = RateGuard::in_memory();
    let plain = Policy::new("op-plain", "2/minute").unwrap();
    let ann = Key::from("ann");
    assert_eq!(guard.ban(&plain, &ann, SECOND).await, Err(BanningError::NoBan));
    assert_eq!(guard.unban(&plain, &ann).await, Err(BanningError::NoBan));
}

#[actix_web::test]
async fn without_the_store_nothing_is_done_and_that_is_said() {
    let store = FaultyStore::new(rateguard::MemoryStore::new());
    let guard = RateGuard::builder().store(store.clone()).build().unwrap();
    store.fail(StoreError::Unreachable);
    let (policy, ann) = (policy(), Key::from("ann"));
    for error in [
        guard.ban(&policy, &ann, SECOND).await.unwrap_err(),
        guard.unban(&policy, &ann).await.unwrap_err(),
    ] {
        let BanningError::Unavailable(unavailable) = error else { panic!("{error:?}") };
        assert_eq!(unavailable.cause(), StoreError::Unreachable);
    }
}

#[actix_web::test]
async fn what_is_done_by_hand_holds_when_the_store_goes() {
    let store = FaultyStore::new(rateguard::MemoryStore::new());
    let guard = RateGuard::builder().store(store.clone()).on_error(OnError::Local).build().unwrap();
    let (policy, ann, bob) = (policy(), Key::from("ann"), Key::from("bob"));
    guard.ban(&policy, &ann, 3_600 * SECOND).await.unwrap();
    guard.ban(&policy, &bob, 3_600 * SECOND).await.unwrap();
    guard.unban(&policy, &bob).await.unwrap();
    store.fail(StoreError::Unreachable);
    let decided = guard.check(&policy, &ann).await.unwrap();
    assert!(decided.is_local() && decided.banned_for().is_some(), "{decided:?}");
    assert!(guard.check(&policy, &bob).await.unwrap().is_allowed());
}

#[actix_web::test]
async fn by_the_endpoints_they_hold_on_another_server() {
    let redis = RedisServer::start();
    // As they are, with denials that are remembered.
    let server = || redis.as_usual("op").deadline(PATIENCE).build().unwrap();
    let (here, elsewhere) = (server(), server());
    let operator = init_service(App::new().service(endpoints(&here))).await;
    let app = app!(elsewhere, login);
    let client = json!({"policy": "op-login", "address": "192.0.2.1"});
    let status = async || ask(&app, 1, "/op-login").await.status;
    let eventually = async |expected: u16| {
        let start = std::time::Instant::now();
        while status().await != expected {
            assert!(start.elapsed() < PATIENCE, "{expected}");
            actix_web::rt::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert_eq!([status().await, status().await, status().await], [200, 200, 429]);
    told(&operator, "reset", &client).await;
    // A denial that is remembered there ends soon.
    eventually(200).await;

    let mut ban = client.clone();
    ban["for_seconds"] = 3_600.into();
    let banned = told(&operator, "ban", &ban).await;
    assert!(banned["banned_for_seconds"].as_f64().unwrap() > 3_500.0, "{banned}");
    assert!(banned["banned_until_unix_seconds"].as_f64().unwrap() > 1_700_000_000.0, "{banned}");
    let answer = ask(&app, 1, "/op-login").await;
    assert_eq!(answer.status, 429);
    assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() > 3_500, "{answer:?}");
    // A longer one makes it longer, and a shorter one changes nothing.
    for (seconds, left) in [(7_200, 7_200.0), (60, 7_200.0)] {
        ban["for_seconds"] = seconds.into();
        let banned = told(&operator, "ban", &ban).await["banned_for_seconds"].as_f64().unwrap();
        // Whole seconds are added, so it is up to one more.
        assert!((left - 120.0..=left + 1.0).contains(&banned), "{banned}");
    }
    let explained = told(&operator, "explain", &client).await;
    assert_eq!(explained["passes"], false);
    assert!(explained["banned_for_seconds"].as_f64().unwrap() > 3_500.0, "{explained}");

    told(&operator, "unban", &client).await;
    told(&operator, "reset", &client).await;
    eventually(200).await;
    // Another client was never meant.
    assert_eq!(ask(&app, 2, "/op-login").await.status, 200);
    assert_eq!(post(&operator, "ban", &client).await.status, 400);
}

#[test]
fn the_verbs_reach_the_key_under_a_secret_too() {
    actix_web::rt::System::new().block_on(async {
        let guard = RateGuard::builder().key_secret("sixteen bytes...").build().unwrap();
        let (policy, ann) = (policy(), Key::from("ann"));
        guard.ban(&policy, &ann, 60 * SECOND).await.unwrap();
        assert!(guard.check(&policy, &ann).await.unwrap().banned_for().is_some());
        guard.unban(&policy, &ann).await.unwrap();
        assert!(guard.check(&policy, &ann).await.unwrap().is_allowed());
    });
}
