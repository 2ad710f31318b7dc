//! Tests the bounds on the number of waiting requests.

use actix_rateguard::{Limit, MemoryStore, RateGuard, RateLimit, test_util::TokioClock};
use actix_web::{App, test::init_service, web};
use futures_util::FutureExt;

use super::waited;
use crate::support::app::get;

#[tokio::test(start_paused = true)]
async fn clients_take_a_bounded_number_of_places() {
    let store = MemoryStore::new().clock(TokioClock::new());
    let guard = RateGuard::builder().store(store).max_waiting(3).max_waiting_per_key(2);
    let guard = guard.build().unwrap();
    let limit = RateLimit::new(&guard, Limit::new("1/second").wait("50s"));
    let app = init_service(App::new().wrap(limit).route("/", web::get().to(waited))).await;
    for client in 1..=4 {
        assert_eq!(get(&app, client, "/").await.status, 200);
    }
    let mut waiting = Vec::new();
    for (client, has_place) in
        [(1, true), (1, true), (1, false), (2, true), (3, false), (1, false), (2, false)]
    {
        let mut request = Box::pin(get(&app, client, "/"));
        match (&mut request).now_or_never() {
            None => waiting.push(request),
            Some(denial) => {
                assert!(!has_place, "{client}");
                assert_eq!(denial.status, 429);
                let wait: u64 = denial.header("retry-after").unwrap().parse().unwrap();
                // The turn of the first client is behind its two waiting requests.
                assert_eq!(
                    wait,
                    if client == 1 {
                        3
                    } else if client == 2 {
                        2
                    } else {
                        1
                    }
                );
            }
        }
    }
    assert_eq!(waiting.len(), 3);
    // A client that leaves frees its place for every key.
    waiting.pop();
    waiting.push(Box::pin(get(&app, 4, "/")));
    assert!(waiting.last_mut().unwrap().now_or_never().is_none());
    let statuses: Vec<_> =
        futures_util::future::join_all(waiting).await.iter().map(|it| it.status).collect();
    assert_eq!(statuses, [200; 3]);
}

#[tokio::test(start_paused = true)]
async fn program_can_switch_waiting_off() {
    let store = MemoryStore::new().clock(TokioClock::new());
    let guard = RateGuard::builder().store(store).max_waiting(0).build().unwrap();
    let limit = RateLimit::new(&guard, Limit::new("1/second").wait("50s"));
    let app = init_service(App::new().wrap(limit).route("/", web::get().to(waited))).await;
    assert_eq!(get(&app, 1, "/").await.status, 200);
    assert_eq!(get(&app, 1, "/").await.status, 429);
}
