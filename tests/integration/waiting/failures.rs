//! Tests requests that wait while the store fails, or while the guard is closed.

use actix_rateguard::{
    Limit, MemoryStore, RateGuard, RateLimit, StoreError,
    test_util::{FaultyStore, TokioClock},
};
use actix_web::{App, test::init_service, web};
use futures_util::{FutureExt, future::join};

use super::{SECOND, arrivals, guard, waited};
use crate::support::app::get;

#[tokio::test(start_paused = true)]
async fn failure_mode_decides_if_the_store_fails_during_the_wait() {
    for (on_error, expected) in [("open", 200), ("closed", 503)] {
        let store = FaultyStore::new(MemoryStore::new().clock(TokioClock::new()));
        let guard = RateGuard::builder().store(store.clone()).build().unwrap();
        let limit = Limit::new("1/second").key("global").on_error(on_error).wait("9s");
        let limit = RateLimit::new(&guard, limit);
        let app = init_service(App::new().wrap(limit).route("/", web::get().to(waited))).await;
        assert_eq!(get(&app, 1, "/").await.status, 200);
        let mut waiting = Box::pin(get(&app, 1, "/"));
        assert!((&mut waiting).now_or_never().is_none());
        store.fail(StoreError::Unreachable(None));
        assert_eq!(waiting.await.status, expected, "{on_error}");
        store.work();
        tokio::time::sleep(2 * SECOND).await;
        assert_eq!(get(&app, 1, "/").await.status, 200, "the failed request has left the queue");
    }
}

#[tokio::test(start_paused = true)]
async fn closed_guard_denies_waiting_requests_immediately() {
    let guard = guard();
    let limit = RateLimit::new(&guard, Limit::new("1/5s").key("global").wait("60s"));
    let app = init_service(App::new().wrap(limit).route("/", web::get().to(waited))).await;
    let close = async {
        tokio::time::sleep(SECOND).await;
        guard.close().await;
    };
    let (arrivals, ()) = join(arrivals((0..4).map(|_| get(&app, 1, "/"))), close).await;
    let outcomes: Vec<_> = arrivals.iter().map(|it| (it.response.status, it.at)).collect();
    assert_eq!(outcomes, [(200, 0), (429, 10), (429, 10), (429, 10)]);
    assert!(arrivals[1..].iter().all(|it| it.response.header("retry-after").is_some()));
}
