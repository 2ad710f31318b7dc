//! Tests the statistics of guards in memory.

use std::{sync::Arc, time::Duration};

use actix_rateguard::{
    Key, Limit, MemoryStore, Policy, RateGuard, RateLimit, Statistics, StatisticsScope,
    test_util::ManualClock,
};
use actix_web::{HttpRequest, web};
use futures_util::FutureExt;

use super::{TOKEN, fetch, policy, sum, try_fetch};
use crate::support::server::{Server, get};

fn guard(statistics: Statistics) -> (RateGuard, ManualClock) {
    let clock = ManualClock::new();
    let store = MemoryStore::new().clock(clock.clone());
    let builder = RateGuard::builder().for_attributes(false).memory_store(store);
    (builder.statistics(statistics).build().unwrap(), clock)
}

fn server(guard: RateGuard) -> Server {
    Server::start(move |app| {
        let limit = Limit::new("2/minute").name("statistics-http").ban("3/minute for 1m");
        let limit = limit.key(|request: &HttpRequest| Some(request.query_string().to_owned()));
        let endpoints = actix_rateguard::operator::endpoints(&guard).allow_token(TOKEN);
        app.service(web::scope("/operator").service(endpoints)).service(
            web::scope("")
                .wrap(RateLimit::new(&guard, limit))
                .route("/", web::get().to(async || "ok")),
        );
    })
}

#[test]
fn endpoint_reports_counts_and_denied_keys_of_this_process() {
    let (guard, clock) = guard(Statistics::new().process_name("web-1").readable_keys(true));
    let server = server(guard);
    let empty = fetch(&server, "statistics");
    assert_eq!((&empty["scope"], &empty["policies"]), (&"process".into(), &serde_json::json!([])));
    assert_eq!(empty["version"], 1);

    let statuses: Vec<_> = (0..6).map(|_| get(&server.url("/?ann%0a%3Cb")).status).collect();
    assert_eq!(statuses, [200, 200, 429, 429, 429, 429]);
    assert_eq!(get(&server.url("/?bob")).status, 200);
    clock.advance(Duration::from_secs(20));
    assert_eq!(get(&server.url("/?carol")).status, 200);

    let statistics = fetch(&server, "statistics");
    let it = policy(&statistics, "statistics-http");
    let totals = &it["totals"];
    assert_eq!(totals["allowed"], 4);
    assert_eq!((totals["denied"].as_u64(), totals["banned"].as_u64()), (Some(2), Some(2)));
    let history = &it["history"];
    assert_eq!((sum(&history["allowed"]), sum(&history["denied"])), (4, 4));
    let allowed = history["allowed"].as_array().unwrap();
    assert_eq!((allowed.len(), &allowed[179], &allowed[178]), (180, &1.into(), &3.into()));
    let (first, current) = (&statistics["first_interval"], &statistics["current_interval"]);
    assert_eq!(first.as_u64().unwrap() + 179, current.as_u64().unwrap());

    let process = &statistics["processes"][0];
    assert_eq!((&process["name"], &process["is_this"]), (&"web-1".into(), &true.into()));
    assert_eq!(process["store"]["kind"], "memory");
    let denied = &statistics["denied_keys"][0];
    assert_eq!((&denied["denials"], &denied["max_overcount"]), (&4.into(), &0.into()));
    assert_eq!(denied["key"], "ann%0a%3Cb");

    // The list after an interval begins with the next one.
    let after = fetch(&server, &format!("statistics?after={}", current.as_u64().unwrap() - 1));
    assert_eq!(after["first_interval"], *current);
    let it = policy(&after, "statistics-http");
    assert_eq!(
        (&it["history"]["allowed"], &it["totals"]["allowed"]),
        (&[1].as_slice().into(), &4.into())
    );
    let latest = fetch(&server, &format!("statistics?after={}", u64::MAX));
    assert_eq!(latest["first_interval"], *current);
    for parameter in ["after=x", "after=-1", "before=3"] {
        assert_eq!(try_fetch(&server, &format!("statistics?{parameter}")).status, 400);
    }
}

#[test]
fn guard_without_statistics_returns_409() {
    let server = server(RateGuard::builder().for_attributes(false).build().unwrap());
    let response = try_fetch(&server, "statistics");
    assert_eq!(response.status, 409);
    assert!(response.body.contains(".statistics(Statistics::new())"), "{}", response.body);
}

#[tokio::test]
async fn counts_disappear_after_an_hour_and_denied_keys_after_two_generations() {
    let (guard, clock) = guard(Statistics::new());
    let policy = Policy::new("statistics-time", "1/second").unwrap();
    let key = Key::from("ann");
    for _ in 0..3 {
        guard.check(&policy, &key).await.unwrap();
    }
    let read = async || guard.statistics().await.unwrap();
    let statistics = read().await;
    assert_eq!(statistics.scope, StatisticsScope::Process);
    assert_eq!(statistics.denied_keys[0].denials, 2);
    assert_eq!(statistics.denied_keys[0].key, None);
    clock.advance(Duration::from_secs(1));
    let rates = read().await.policies[0].clone();
    assert_eq!((rates.allowed_per_second, rates.denied_per_second), (0.2, 0.4));
    clock.advance(Duration::from_secs(600));
    let statistics = read().await;
    assert!(statistics.denied_keys.is_empty());
    assert_eq!(statistics.policies[0].totals.denied, 2);
    clock.advance(Duration::from_secs(3_000));
    assert_eq!(read().await.policies[0].totals.denied, 0);
}

#[tokio::test]
async fn policies_above_200_are_counted_together() {
    let (guard, _) = guard(Statistics::new());
    for number in 0..300 {
        let policy = Policy::new(format!("statistics-{number}"), "1/second").unwrap();
        guard.check(&policy, &Key::global()).await.unwrap();
    }
    let statistics = guard.statistics().await.unwrap();
    assert_eq!((statistics.policies.len(), statistics.omitted_policies), (201, 100));
    let other = statistics.policies.iter().find(|it| it.name == "other").unwrap();
    assert_eq!(other.totals.allowed, 100);
}

#[tokio::test]
async fn shadow_and_composed_checks_are_counted() {
    let (guard, _) = guard(Statistics::new().readable_keys(true));
    let shadow = Policy::new("statistics-shadow", "1/hour").unwrap().shadow();
    let candidate = Policy::new("statistics-candidate", "9/hour").unwrap();
    let candidate = candidate.candidate("1/hour").unwrap();
    for _ in 0..3 {
        guard.check(&shadow, &Key::from("ann")).await.unwrap();
        guard.check(&candidate, &Key::from("ann")).await.unwrap();
    }
    let (one, other) = (Policy::new("statistics-one", "5/hour").unwrap(), "2/hour");
    let other = Policy::new("statistics-other", other).unwrap();
    let keys = [Key::from("ann"), Key::from("hunter2")];
    for _ in 0..3 {
        guard.request(&one, &keys[0]).and(&other, &keys[1]).check().await.unwrap();
    }
    let statistics = guard.statistics().await.unwrap();
    let totals = |name: &str| statistics.policies.iter().find(|it| it.name == name).unwrap().totals;
    for name in ["statistics-shadow", "statistics-candidate"] {
        assert_eq!((totals(name).allowed, totals(name).would_deny), (3, 2), "{name}");
    }
    assert_eq!((totals("statistics-other").allowed, totals("statistics-other").denied), (2, 1));
    let [denied] = &*statistics.denied_keys else { panic!("{:?}", statistics.denied_keys) };
    assert_eq!((&*denied.policy, denied.key.as_deref()), ("statistics-other", Some("hunter2")));
    assert!(!format!("{statistics:?}").contains("hunter2"));
}

#[tokio::test]
async fn concurrent_checks_are_counted_exactly() {
    let guard = Arc::new(guard(Statistics::new()).0);
    let policy = Policy::new("statistics-threads", "1000/second").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    guard.check(&policy, &Key::global()).now_or_never().unwrap().unwrap();
                }
            });
        }
    });
    let statistics = guard.statistics().await.unwrap();
    let totals = statistics.policies[0].totals;
    assert_eq!((totals.allowed, totals.denied), (1_000, 3_000));
    assert_eq!(statistics.denied_keys[0].denials, 3_000);
}
