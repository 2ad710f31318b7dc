//! Tests when the dispatcher (the task that sends batches of requests to Redis) sends a batch, and which requests the
//! batch contains.

use std::{
    pin::pin,
    task::Poll,
    time::{Duration, Instant},
};

use actix_rateguard::{Key, Policy, RateGuard};
use futures_util::{future::join_all, poll};

use crate::support::{
    TEST_TIMEOUT,
    redis_server::{RedisServer, script_calls},
};

const TASKS: u32 = 64;

fn policy() -> Policy {
    Policy::new("shared", "1000000/365d").unwrap()
}

/// Runs `TASKS` concurrent checks, each with its own key.
async fn burst(guard: &RateGuard) {
    let policy = policy();
    let check = async |number: u32| {
        assert!(guard.check(&policy, &Key::from(number)).await.unwrap().is_allowed());
    };
    join_all((0..TASKS).map(check)).await;
}

#[tokio::test]
async fn requests_during_two_calls_in_flight_share_next_batch() {
    let server = RedisServer::start();
    let guard = server.guard("five");
    // During these first checks, the guard connects and loads the script.
    burst(&guard).await;
    for _ in 0..8 {
        let before = script_calls(&server);
        server.freeze();
        let start = Instant::now();
        let elapsed;
        {
            let mut burst = pin!(burst(&guard));
            // The frozen server sends no replies, so all checks are still pending.
            assert!(poll!(burst.as_mut()).is_pending());
            server.thaw();
            elapsed = start.elapsed();
            burst.await;
        }
        let calls = script_calls(&server) - before;
        // The dispatcher sends at most two calls at once, and then one more call for each millisecond without a reply.
        // The replies to these calls let it send two batches with 32 requests each.
        let max_calls = 4 + elapsed.as_millis() as u64;
        assert!(
            (1..=max_calls).contains(&calls),
            "{calls} calls for {TASKS} checks in {elapsed:?}"
        );
    }
}

/// The dispatcher of the worker connection cannot run while its runtime is blocked.
#[tokio::test]
async fn request_of_a_blocked_runtime_is_sent_by_the_io_thread() {
    let server = RedisServer::start();
    let guard = server.guard("blocks");
    let (policy, key) = (policy(), Key::from("single"));
    for _ in 0..8 {
        burst(&guard).await;
        let before = script_calls(&server);
        let mut check = pin!(guard.check(&policy, &key));
        let result = match poll!(check.as_mut()) {
            // The reply arrived before this thread continued, so the check is already complete.
            Poll::Ready(result) => result,
            Poll::Pending => {
                let start = Instant::now();
                while script_calls(&server) == before {
                    assert!(start.elapsed() < TEST_TIMEOUT, "the request is not sent");
                    std::thread::sleep(Duration::from_millis(1));
                }
                check.await
            }
        };
        assert!(result.unwrap().is_allowed());
    }
}

/// The worker connection of the first runtime does not run any more.
#[test]
fn stalled_runtime_does_not_delay_requests_of_other_runtimes() {
    let server = RedisServer::start();
    let guard = server.settings("stale").deadline(TEST_TIMEOUT).build().unwrap();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (stalled, other) = (runtime(), runtime());
    stalled.block_on(async {
        burst(&guard).await;
        let (policy, key) = (policy(), Key::from("single"));
        let mut check = pin!(guard.check(&policy, &key));
        let _ = poll!(check.as_mut());
    });
    let before = script_calls(&server);
    for _ in 0..20 {
        other.block_on(burst(&guard));
    }
    assert!(script_calls(&server) > before);
    drop(stalled);
}

/// The number of requests in a batch depends on how the runtime schedules the tasks. Therefore the test runs several
/// rounds, and ends when a round needs few script calls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looping_tasks_use_at_most_one_call_per_three_checks() {
    const ROUNDS: u32 = 30;
    let server = RedisServer::start();
    let guard = server.guard("loop");
    burst(&guard).await;
    let start = Instant::now();
    loop {
        let before = script_calls(&server);
        let task = |task: u32| {
            let guard = guard.clone();
            tokio::spawn(async move {
                let policy = policy();
                for round in 0..ROUNDS {
                    let key = Key::from(task * ROUNDS + round);
                    assert!(guard.check(&policy, &key).await.unwrap().is_allowed());
                }
            })
        };
        for done in join_all((0..TASKS).map(task)).await {
            done.unwrap();
        }
        let calls = script_calls(&server) - before;
        if calls * 3 <= u64::from(TASKS * ROUNDS) {
            break;
        }
        assert!(start.elapsed() < TEST_TIMEOUT, "{calls} calls for {} checks", TASKS * ROUNDS);
    }
}

/// In each round, the single request is sent at a different time, before or after the replies to the burst.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_request_after_a_burst_is_answered() {
    let server = RedisServer::start();
    let guard = server.guard("single");
    let (policy, key) = (policy(), Key::from("single"));
    burst(&guard).await;
    for round in 0..300_u64 {
        let pending_burst = tokio::spawn({
            let guard = guard.clone();
            async move { burst(&guard).await }
        });
        if round % 3 == 0 {
            // In these rounds, the single request is sent right after the replies to the burst.
            pending_burst.await.unwrap();
            assert!(guard.check(&policy, &key).await.unwrap().is_allowed());
        } else {
            std::thread::sleep(Duration::from_micros(round % 100 * 10));
            assert!(guard.check(&policy, &key).await.unwrap().is_allowed());
            pending_burst.await.unwrap();
        }
    }
}

#[tokio::test]
async fn single_request_queued_behind_a_burst_is_answered() {
    let server = RedisServer::start();
    let guard = server.guard("after");
    let (policy, key) = (policy(), Key::from("single"));
    burst(&guard).await;
    for _ in 0..8 {
        server.freeze();
        let (mut pending_burst, mut single) =
            (pin!(burst(&guard)), pin!(guard.check(&policy, &key)));
        assert!(poll!(pending_burst.as_mut()).is_pending());
        assert!(poll!(single.as_mut()).is_pending());
        server.thaw();
        assert!(single.await.unwrap().is_allowed());
        pending_burst.await;
    }
}
