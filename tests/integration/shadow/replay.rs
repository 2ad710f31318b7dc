//! Tests many requests to a policy with a candidate (new quotas that the policy tests in shadow mode). The candidate
//! would deny one fifth of the requests.

use actix_rateguard::{Key, Limit, RateGuard, RateLimit, rate_limit};
use actix_web::{Responder, get, web};
use futures_util::future::join_all;

use super::{report, search};
use crate::support::{
    TEST_TIMEOUT,
    app::{get, statuses},
    redis_server::{RedisServer, script_calls},
};

const KEYS: u32 = 100;

/// Sends ten checks for each key. The enforced quota admits all ten checks, and the candidate would admit only eight.
async fn replay(guard: &RateGuard) {
    let policy = search().candidate("8/365d").unwrap();
    let check_key = async |key: u32| {
        let key = Key::from(key);
        for number in 1..=10 {
            let decision = guard.check(&policy, &key).await.unwrap();
            // The decision must not show any number of the candidate.
            assert!(decision.is_allowed() && !decision.would_deny());
            assert_eq!((decision.limit(), decision.remaining()), (10, 10 - number));
        }
    };
    join_all((0..KEYS).map(check_key)).await;
}

#[tokio::test]
async fn memory_shadow_report_counts_would_be_denials() {
    let guard = RateGuard::in_memory();
    replay(&guard).await;
    assert_eq!(report(&guard, "search", 1_000).await, [800, 200, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_shadow_report_counts_would_be_denials() {
    let server = RedisServer::start();
    let guard = server.settings("replayed").deadline(TEST_TIMEOUT).build().unwrap();
    replay(&guard).await;
    assert_eq!(report(&guard, "search", 1_000).await, [800, 200, 0]);
    // The guard sends several checks in one script call. Therefore 1,000 enforced checks and 1,000 candidate checks
    // need fewer than 1,000 script calls.
    let calls = script_calls(&server);
    assert!(calls < 1_000, "{calls}");
    // For each key of the policy, the candidate must have a separate Redis key.
    let mut client = server.client();
    for (pattern, keys) in [("replayed:{*}:search", KEYS), ("replayed:{*}:search{shadow}", KEYS)] {
        let names: Vec<String> = redis::cmd("KEYS").arg(pattern).query(&mut client).unwrap();
        assert_eq!(names.len(), keys as usize, "{pattern}");
    }
}

#[get("/attribute")]
#[rate_limit(rate = "10/365d", candidate = "8/365d", name = "attribute")]
async fn attribute() -> impl Responder {
    "ok"
}

#[actix_web::test]
async fn http_clients_do_not_observe_the_candidate() {
    let server = RedisServer::start();
    let on_redis = server.settings("http").deadline(TEST_TIMEOUT).build().unwrap();
    for guard in [RateGuard::in_memory(), on_redis] {
        let limit =
            RateLimit::new(&guard, Limit::new("10/365d").candidate("8/365d").name("middleware"));
        let ok = web::get().to(async || "ok");
        let app = app!(guard, attribute, web::resource("/middleware").wrap(limit).route(ok));
        for name in ["attribute", "middleware"] {
            let path = format!("/{name}");
            for client in 1..=4 {
                assert_eq!(statuses(&app, client, &path, 9).await, [200; 9]);
                let last = get(&app, client, &path).await;
                assert_eq!(
                    (last.status, last.numbers().unwrap()[..2].to_vec()),
                    (200, vec![10, 0])
                );
            }
            // If the enforced quota denies a request, the candidate must still count it.
            assert_eq!(get(&app, 1, &path).await.status, 429);
            assert_eq!(report(&guard, name, 41).await, [32, 9, 0], "{name}");
        }
    }
}
