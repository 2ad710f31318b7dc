//! Tests decisions with several quotas, with several keys, and with costs.

use std::time::Duration;

use actix_rateguard::{
    Algorithm, Key, Limit, Policy, RateGuard, RateLimit, key, rate_limit, test_util,
};
use actix_web::{App, HttpRequest, get, test::init_service, web};
use futures_util::FutureExt;

use crate::support::{
    app::{from_client, get, send, statuses},
    log_lines,
    redis_server::{RedisServer, script_calls},
};

fn policy(name: &'static str, quotas: &str) -> Policy {
    Policy::new(name, quotas).unwrap()
}

#[test]
fn all_quotas_must_have_room_and_tightest_is_reported() {
    let (guard, clock) = test_util::guard();
    let policy = policy("api", "2/second; 3/minute; 1000/day");
    let check = || guard.check(&policy, &Key::global()).now_or_never().unwrap().unwrap();

    let first = check();
    assert_eq!((first.quota().to_string(), first.remaining()), ("2/second".to_owned(), 1));
    let left: Vec<_> = first.statuses().iter().map(|it| it.remaining()).collect();
    assert_eq!(left, [1, 2, 999]);
    check();
    let denied = check();
    assert_eq!(denied.quota().to_string(), "2/second");
    assert_eq!(denied.retry_after(), Some(Duration::from_secs(1)));
    // For a denied check, the guard takes no units from any quota.
    assert_eq!(denied.statuses()[1].remaining(), 1);

    clock.advance(Duration::from_secs(1));
    assert!(check().is_allowed());
    let denied = check();
    assert_eq!((denied.policy(), denied.quota().to_string()), ("api", "3/minute".to_owned()));
    assert_eq!(denied.retry_after(), Some(Duration::from_secs(59)));
    assert_eq!(denied.statuses()[0].remaining(), 1);
}

#[tokio::test]
async fn multi_key_request_is_one_decision_on_every_store() {
    let server = RedisServer::start();
    for guard in [RateGuard::in_memory(), server.guard("multi-key")] {
        let (per_user, per_tenant) = (policy("user", "2/hour"), policy("tenant", "5/hour"));
        let tenant = Key::from("tenant");
        let check = async |user: &str, cost| {
            let user = Key::from(user);
            let request = guard.request(&per_user, &user).and(&per_tenant, &tenant).cost(cost);
            request.check().await.unwrap()
        };
        assert!(check("ann", 2).await.is_allowed());
        assert!(check("ann", 1).await.is_allowed());
        // Ann has no units left. The guard denies her check and takes no units from the tenant.
        let denied = check("ann", 1).await;
        assert_eq!((denied.is_allowed(), denied.policy()), (false, "user"));
        assert_eq!(denied.statuses()[1].remaining(), 2);
        // The tenant has too few units for Bob's check. The guard denies the check and takes no units from Bob.
        let denied = check("bob", 3).await;
        assert_eq!((denied.is_allowed(), denied.policy()), (false, "tenant"));
        assert_eq!(denied.statuses()[0].remaining(), 2);
        assert!(check("bob", 2).await.is_allowed());
    }
}

#[tokio::test]
async fn duplicate_key_in_request_is_counted_twice() {
    let server = RedisServer::start();
    for guard in [RateGuard::in_memory(), server.guard("twice")] {
        let (policy, key) = (policy("p", "3/hour"), Key::global());
        let twice = guard.request(&policy, &key).and(&policy, &key);
        let first = twice.check().await.unwrap();
        assert_eq!((first.statuses().len(), first.remaining()), (1, 1));
        assert!(!twice.check().await.unwrap().is_allowed());
    }
}

#[tokio::test]
async fn policies_with_one_name_are_both_enforced() {
    let server = RedisServer::start();
    for guard in [RateGuard::in_memory(), server.guard("names")] {
        let (wide, narrow) = (policy("n", "100/minute"), policy("n", "1/minute; 9/hour"));
        let key = Key::global();
        let both = guard.request(&wide, &key).and(&narrow, &key);
        assert!(both.check().await.unwrap().is_allowed());
        assert!(!both.check().await.unwrap().is_allowed());
    }
}

#[tokio::test]
async fn multi_quota_check_uses_one_round_trip() {
    let server = RedisServer::start();
    let guard = server.guard("trips");
    let (multi_quota, other) =
        (policy("p", "10/second; 100/minute; 1000/day"), policy("q", "9/day"));
    let (one, two) = (Key::from("one"), Key::from("two"));
    let request = guard.request(&multi_quota, &one).and(&other, &two);
    request.check().await.unwrap();
    let before = script_calls(&server);
    for _ in 0..5 {
        assert!(request.check().await.unwrap().is_allowed());
    }
    assert_eq!(script_calls(&server) - before, 5);
}

#[tokio::test]
async fn cost_above_limit_is_denied_without_a_write() {
    let server = RedisServer::start();
    for guard in [RateGuard::in_memory(), server.guard("costly")] {
        let (policy, key) = (policy("p", "5/hour"), Key::global());
        let request = guard.request(&policy, &key).cost(6);
        let denied = request.check().await.unwrap();
        assert!(!denied.is_allowed() && denied.is_too_costly());
        assert_eq!((denied.retry_after(), denied.remaining()), (None, 5));
        let waited = request.check_or_wait(Duration::from_secs(9)).await.unwrap();
        assert!(!waited.is_allowed());
    }
    let names: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut server.client()).unwrap();
    assert_eq!(names, [""; 0]);
}

#[test]
fn retry_after_matches_the_cost() {
    let (guard, clock) = test_util::guard();
    let (policy, key) = (policy("p", "10/10s"), Key::global());
    let check =
        |cost| guard.request(&policy, &key).cost(cost).check().now_or_never().unwrap().unwrap();
    for cost in [4, 3, 3] {
        assert!(check(cost).is_allowed());
        clock.advance(Duration::from_secs(2));
    }
    // The clock shows 6 s. The first 4 units expire at 10 s, the next 3 units at 12 s, and the last 3 units at 14 s.
    for (cost, wait) in [(1, 4), (4, 4), (5, 6), (8, 8), (10, 8)] {
        assert_eq!(check(cost).retry_after(), Some(Duration::from_secs(wait)), "{cost}");
    }
}

#[get("/list")]
#[rate_limit(rate = "2/second; 3/minute", key = "ip")]
async fn list() -> &'static str {
    "ok"
}

#[get("/costly")]
#[rate_limit(rate = "10/minute", cost = 4)]
async fn costly() -> &'static str {
    "ok"
}

fn word_count(request: &HttpRequest) -> u32 {
    request.query_string().split('+').count() as u32
}

#[get("/words")]
#[rate_limit(rate = "5/minute", cost = word_count)]
async fn cost_by_words() -> &'static str {
    "ok"
}

#[get("/closure")]
#[rate_limit(rate = "5/minute", cost = |req: &HttpRequest| req.query_string().len() as u32)]
async fn cost_by_length() -> &'static str {
    "ok"
}

#[get("/stacked")]
#[rate_limit(rate = "3/minute", name = "inner-address")]
#[rate_limit(rate = "2/minute", key = "header:X-Api-Key", cost = 2)]
async fn stacked() -> &'static str {
    "ok"
}

#[actix_web::test]
async fn attribute_accepts_quota_lists_and_costs() {
    let (guard, clock) = test_util::guard();
    let app = app!(guard, list, costly, cost_by_words, cost_by_length, stacked);
    assert_eq!(get(&app, 1, "/list").await.numbers(), Some([2, 1, 1]));
    assert_eq!(statuses(&app, 1, "/list", 2).await, [200, 429]);
    clock.advance(Duration::from_secs(1));
    assert_eq!(get(&app, 1, "/list").await.numbers(), Some([3, 0, 59]));
    let denied = get(&app, 1, "/list").await;
    assert_eq!((denied.status, denied.header("retry-after")), (429, Some("59")));

    assert_eq!(get(&app, 1, "/costly").await.numbers().unwrap()[..2], [10, 6]);
    assert_eq!(statuses(&app, 1, "/costly", 2).await, [200, 429]);
    // The headers of a denial report the remaining units, even if they are too few for the cost of the request.
    assert_eq!(get(&app, 1, "/costly").await.numbers().unwrap()[..2], [10, 2]);

    assert_eq!(get(&app, 1, "/words?a+b+c").await.numbers().unwrap()[1], 2);
    assert_eq!(get(&app, 1, "/words?a+b+c").await.status, 429);
    assert_eq!(get(&app, 1, "/words?a+b").await.status, 200);
    let too_large = get(&app, 2, "/words?a+b+c+d+e+f").await;
    assert_eq!((too_large.status, too_large.header("retry-after")), (429, None));
    assert_eq!(too_large.numbers().unwrap()[..2], [5, 5]);
    assert!(too_large.body.contains("larger than its rate limit"), "{}", too_large.body);

    assert_eq!(get(&app, 1, "/closure?abc").await.numbers().unwrap()[1], 2);
    // A request with an empty query has the cost 0, so the limit does not count it.
    assert_eq!(statuses(&app, 1, "/closure?", 9).await, [200; 9]);
}

#[actix_web::test]
async fn stacked_attributes_make_one_decision() {
    let guard = RateGuard::in_memory();
    let app = app!(guard, stacked);
    let send_request = async |key: &str| {
        let request =
            actix_web::test::TestRequest::get().uri("/stacked").insert_header(("X-Api-Key", key));
        send(&app, from_client(1, request)).await
    };
    assert_eq!(send_request("a").await.status, 200);
    for _ in 0..5 {
        // The limit of the second attribute denies the request. Therefore the limit of the first attribute must not
        // count it.
        assert_eq!(send_request("a").await.numbers().unwrap()[..2], [2, 0]);
    }
    assert_eq!(
        [
            send_request("b").await.status,
            send_request("c").await.status,
            send_request("d").await.status
        ],
        [200, 200, 429]
    );
}

#[actix_web::test]
async fn middleware_accepts_several_limits_and_costs() {
    let guard = RateGuard::in_memory();
    let limit = RateLimit::new(
        &guard,
        Limit::new("1/minute; 9/hour").key(key::header("X-User")).name("users"),
    )
    .and(
        Limit::new("4/minute")
            .key(key::global())
            .cost(|request: &HttpRequest| if request.path() == "/big" { 3 } else { 1 })
            .name("all"),
    );
    let everything = web::route().to(async || "ok");
    let app = init_service(App::new().wrap(limit).default_service(everything)).await;
    let send_request = async |user: &str, path: &str| {
        let request = actix_web::test::TestRequest::get().uri(path).insert_header(("X-User", user));
        send(&app, from_client(1, request)).await
    };
    assert_eq!(send_request("ann", "/").await.status, 200);
    assert_eq!(send_request("ann", "/").await.numbers().unwrap()[..2], [1, 0]);
    assert_eq!(send_request("bob", "/big").await.status, 200);
    // Carl's own limit has room, but the limit for all users together denies his request.
    assert_eq!(send_request("carl", "/").await.numbers().unwrap()[..2], [4, 0]);
}

#[actix_web::test]
#[should_panic(expected = " allows a maximum cost of 5, but each request costs 6")]
async fn cost_above_capacity_panics_at_startup() {
    let guard = RateGuard::in_memory();
    let limit = RateLimit::new(&guard, Limit::new("9/minute; 5/second").cost(6));
    init_service(App::new().wrap(limit)).await;
}

#[actix_web::test]
#[should_panic(expected = " are named `x`; give each its own name")]
async fn duplicate_limit_names_in_middleware_panic_at_startup() {
    let guard = RateGuard::in_memory();
    let limit = RateLimit::new(&guard, Limit::new("9/minute").name("x"))
        .and(Limit::new("9/minute").name("x"));
    init_service(App::new().wrap(limit)).await;
}

#[test]
fn denied_requests_use_no_slots_in_memory() {
    for (_, algorithm) in Algorithm::NAMES {
        let (_, clock) = test_util::guard();
        clock.set(Duration::from_secs(1));
        let store = actix_rateguard::MemoryStore::new().max_keys(100).clock(clock);
        let guard = RateGuard::builder().store(store).build().unwrap();
        let exhausted = policy("exhausted", "1/hour");
        let invented = policy("invented", &format!("1/hour {algorithm}"));
        let key = Key::global();
        let is_allowed = |user: u32| {
            let user = Key::from(user);
            let request = guard.request(&exhausted, &key).and(&invented, &user);
            request.check().now_or_never().unwrap().unwrap().is_allowed()
        };
        assert!(is_allowed(0));
        assert!((1..1_000).all(|user| !is_allowed(user)));
        // The users whose checks were denied must not use up the capacity of the store, so the store has room for new
        // users.
        let admitted = (2_000_u32..2_090)
            .filter(|user| guard.allows(&invented, &Key::from(*user)).now_or_never().unwrap())
            .count();
        assert_eq!(admitted, 90, "{algorithm}");
    }
}

#[test]
fn denial_log_names_the_quota() {
    log_lines::collect();
    let guard = RateGuard::in_memory();
    let policy = policy("logged-policy", "1/second; 1/day");
    for _ in 0..2 {
        let _ = guard.check(&policy, &Key::from("secret")).now_or_never();
    }
    assert_eq!(log_lines::with("`logged-policy`"), ["DEBUG denied by `logged-policy`, 1/day"]);
}
