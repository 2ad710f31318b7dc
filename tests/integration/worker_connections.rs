//! Tests the connections that the workers of a server have to Redis.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use actix_rateguard::{Key, Policy, RateGuard};
use futures_util::{future::join_all, poll};
use tokio::runtime::{Builder, Runtime};

use crate::support::{
    TEST_TIMEOUT, eventually,
    redis_server::{RedisServer, kill_connections, run, total_connections},
};

const WORKERS: usize = 8;

fn policy() -> Policy {
    Policy::new("workers", "1000000/365d").unwrap()
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

async fn check(guard: &RateGuard, key: u32) {
    let decision = guard.check(&policy(), &Key::from(key)).await.unwrap();
    assert!(decision.is_allowed() && !decision.is_local());
}

/// Returns the number of open connections, without that of `client`.
fn open_connections(client: &mut redis::Connection) -> usize {
    let list: String = run(client, "CLIENT LIST TYPE normal");
    list.lines().count() - 1
}

/// Sends checks until this runtime has a connection.
async fn wait_for_connection(redis: &RedisServer, guard: &RateGuard) {
    let mut client = redis.client();
    let start = Instant::now();
    loop {
        let _ = guard.check(&policy(), &Key::global()).await;
        // Clients of the test have sent the command `CLIENT` last.
        let list: String = run(&mut client, "CLIENT LIST TYPE normal");
        let of_guards = list.lines().filter(|line| !line.contains("cmd=client"));
        if of_guards.count() == 2 {
            return;
        }
        assert!(start.elapsed() < TEST_TIMEOUT, "{list}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Threads that send checks until they are stopped. Each thread has a runtime of its own.
struct Workers {
    is_stopped: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// `may_fail` says whether checks may have no decision of Redis.
    fn start(guard: &RateGuard, may_fail: bool) -> Self {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let worker = |number| {
            let (guard, is_stopped) = (guard.clone(), Arc::clone(&is_stopped));
            thread::spawn(move || {
                runtime().block_on(async {
                    while !is_stopped.load(Relaxed) {
                        if may_fail {
                            let _ = guard.check(&policy(), &Key::from(number)).await;
                        } else {
                            check(&guard, number).await;
                        }
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                });
            })
        };
        let threads = (0..WORKERS as u32).map(worker).collect();
        Self { is_stopped, threads }
    }

    fn stop(self) {
        self.is_stopped.store(true, Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

#[test]
fn each_runtime_with_one_thread_has_one_connection_until_it_ends() {
    let redis = RedisServer::start();
    let mut client = redis.client();
    let guard = redis.settings("workers").deadline(TEST_TIMEOUT).build().unwrap();
    eventually("the guard is connected", || (open_connections(&mut client) == 1).then_some(()));
    let workers = Workers::start(&guard, false);
    let expected = 1 + WORKERS;
    eventually("each worker is connected", || {
        (open_connections(&mut client) == expected).then_some(())
    });
    let total = total_connections(&mut client);
    thread::sleep(Duration::from_millis(300));
    assert_eq!((open_connections(&mut client), total_connections(&mut client)), (expected, total));
    workers.stop();
    eventually("the connections are closed", || (open_connections(&mut client) == 1).then_some(()));
}

#[test]
fn runtime_with_several_threads_uses_the_shared_connection() {
    let redis = RedisServer::start();
    let mut client = redis.client();
    let guard = redis.settings("threads").deadline(TEST_TIMEOUT).build().unwrap();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        for _ in 0..10 {
            join_all((0..20).map(|key| check(&guard, key))).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert_eq!(open_connections(&mut client), 1);
}

#[test]
fn check_outside_of_a_runtime_uses_the_shared_connection() {
    let redis = RedisServer::start();
    let guard = redis.settings("outside").deadline(TEST_TIMEOUT).build().unwrap();
    block_on(check(&guard, 1));
    assert_eq!(open_connections(&mut redis.client()), 1);
}

/// Polls a future on this thread until it is ready. There is no async runtime.
fn block_on(future: impl Future<Output = ()>) {
    struct Unpark(thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = pin!(future);
    while future.as_mut().poll(&mut context).is_pending() {
        thread::park_timeout(TEST_TIMEOUT);
    }
}

/// A library may wait for a check in code that is not async, and thereby block the runtime that has the connection.
#[tokio::test]
async fn check_completes_although_it_blocks_its_own_runtime() {
    let redis = RedisServer::start();
    let guard = redis.settings("nested").deadline(TEST_TIMEOUT).build().unwrap();
    wait_for_connection(&redis, &guard).await;
    block_on(check(&guard, 1));
}

#[tokio::test]
async fn check_that_blocks_its_own_runtime_ends_although_redis_is_down() {
    let redis = RedisServer::start();
    let guard = redis.settings("down").build().unwrap();
    wait_for_connection(&redis, &guard).await;
    drop(redis);
    block_on(async { assert!(guard.check(&policy(), &Key::global()).await.is_err()) });
}

/// The server closes only the connection of the worker, for example because it is idle.
#[tokio::test]
async fn lost_idle_worker_connection_fails_no_check() {
    let redis = RedisServer::start();
    let mut client = redis.client();
    let _: u64 = run(&mut client, "CLIENT ID");
    let guard = redis.settings("idle").deadline(TEST_TIMEOUT).build().unwrap();
    for _ in 0..3 {
        wait_for_connection(&redis, &guard).await;
        let list: String = run(&mut client, "CLIENT LIST TYPE normal");
        let ids = list.lines().filter_map(|line| line.strip_prefix("id=")?.split(' ').next());
        // The worker connects after the I/O thread and after `client`, so its connection has the highest number.
        let id = ids.filter_map(|id| id.parse::<u64>().ok()).max().unwrap();
        let _: u64 = run(&mut client, &format!("CLIENT KILL ID {id}"));
        tokio::time::sleep(Duration::from_millis(100)).await;
        join_all((0..100).map(|key| check(&guard, key))).await;
    }
}

/// The thread is blocked for longer than the deadline, first before the checks are sent, and then before their replies
/// are read.
#[tokio::test]
async fn blocked_worker_causes_no_false_timeout() {
    const DEADLINE: Duration = Duration::from_secs(2);
    let redis = RedisServer::start();
    let guard = redis.settings("stalled").deadline(DEADLINE).build().unwrap();
    wait_for_connection(&redis, &guard).await;
    for passes in [0, 3] {
        let mut checks = pin!(join_all((0..100).map(|key| check(&guard, key))));
        assert!(poll!(checks.as_mut()).is_pending());
        for _ in 0..passes {
            tokio::task::yield_now().await;
        }
        thread::sleep(DEADLINE + Duration::from_millis(200));
        checks.await;
    }
}

#[test]
fn workers_that_lose_a_server_at_once_cause_no_reconnect_storm() {
    let redis = RedisServer::start();
    let mut client = redis.client();
    let guard = redis.settings("storm").deadline(TEST_TIMEOUT).build().unwrap();
    let workers = Workers::start(&guard, true);
    let expected = 1 + WORKERS;
    let wait = |client: &mut redis::Connection| {
        eventually("each worker is connected", || {
            (open_connections(client) == expected).then_some(())
        });
    };
    wait(&mut client);
    for _ in 0..3 {
        let before = total_connections(&mut client);
        kill_connections(&mut client);
        wait(&mut client);
        // The connection manager connects first, and then each worker connects once. If the manager notices the loss
        // later than a worker, the worker connects twice.
        let made = total_connections(&mut client) - before;
        assert!((expected as u64..=2 * expected as u64).contains(&made), "{made}");
    }
    workers.stop();
}
