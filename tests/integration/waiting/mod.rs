//! Tests of limits with a `wait`: requests that wait for room instead of being denied.

mod bounds;
mod clients;
mod example;
mod failures;
mod multi_limit;
mod order;
mod servers;
mod settings;

use std::time::Duration;

use actix_rateguard::{CheckResult, MemoryStore, RateGuard, test_util::TokioClock};
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::support::app::Response;

const SECOND: Duration = Duration::from_secs(1);

/// Returns a guard with a memory store that uses the clock of Tokio.
fn guard() -> RateGuard {
    RateGuard::builder().store(MemoryStore::new().clock(TokioClock::new())).build().unwrap()
}

/// Responds with the time that the request has waited, in tenths of a second.
async fn waited(result: CheckResult) -> String {
    tenths(result.waited()).to_string()
}

/// Returns a duration in tenths of a second. The timers of Tokio are up to a few milliseconds late.
fn tenths(time: Duration) -> u128 {
    time.as_millis() / 100
}

/// A response, and the time at which it arrived, in tenths of a second.
struct Arrival {
    number: usize,
    at: u128,
    response: Response,
}

/// Waits for all responses, and returns them in the order in which they arrived.
async fn arrivals(
    requests: impl IntoIterator<Item = impl Future<Output = Response>>,
) -> Vec<Arrival> {
    let start = Instant::now();
    let order = std::cell::RefCell::new(Vec::new());
    let requests = requests.into_iter().enumerate().map(|(number, request)| {
        let order = &order;
        async move {
            let response = request.await;
            order.borrow_mut().push(Arrival { number, at: tenths(start.elapsed()), response });
        }
    });
    join_all(requests).await;
    order.into_inner()
}
