//! Those who wait for Redis share its calls, and nobody waits for others in vain.

use std::{
    pin::pin,
    task::Poll,
    time::{Duration, Instant},
};

use futures_util::{future::join_all, poll};
use rateguard::{Key, Policy, RateGuard};

use crate::support::{
    PATIENCE,
    redis_server::{RedisServer, run},
};

const TASKS: u32 = 64;

fn policy() -> Policy {
    Policy::new("shared", "1000000/365d").unwrap()
}

/// Many who ask at once, each for a key of its own.
async fn burst(guard: &RateGuard) {
    let policy = policy();
    let check = async |number: u32| {
        assert!(guard.check(&policy, &Key::from(number)).await.unwrap().is_allowed());
    };
    join_all((0..TASKS).map(check)).await;
}

/// How often the script was called so far.
fn script_calls(server: &RedisServer) -> u64 {
    let info: String = run(&mut server.client(), "INFO commandstats");
    let calls = |line: &str| -> Option<u64> {
        let stats = line.strip_prefix("cmdstat_evalsha:calls=");
        stats.or_else(|| line.strip_prefix("cmdstat_eval:calls="))?.split_once(',')?.0.parse().ok()
    };
    info.lines().filter_map(calls).sum()
}

#[tokio::test]
async fn those_who_come_while_four_calls_are_under_way_share_the_next() {
    let server = RedisServer::start();
    let guard = server.guard("five");
    // It knows the script, and the guard its connection.
    burst(&guard).await;
    for _ in 0..8 {
        let before = script_calls(&server);
        server.freeze();
        let begun = Instant::now();
        let took;
        {
            let mut burst = pin!(burst(&guard));
            // All of them have come before any of them is answered, however slow the machine is.
            assert!(poll!(burst.as_mut()).is_pending());
            server.thaw();
            took = begun.elapsed();
            burst.await;
        }
        let calls = script_calls(&server) - before;
        // After four, two for 32 each; and a server that does not answer within a millisecond may be far away, and gets one
        // more in each.
        let most = 6 + took.as_millis() as u64;
        assert!((1..=most).contains(&calls), "{calls} calls for {TASKS} checks in {took:?}");
    }
}

/// Those who come together are announced together, by a task that comes after them: another one may keep it from that.
#[tokio::test]
async fn who_comes_before_a_task_that_blocks_is_called_for_nevertheless() {
    let server = RedisServer::start();
    let guard = server.guard("blocks");
    let (policy, key) = (policy(), Key::from("lone"));
    for _ in 0..8 {
        burst(&guard).await;
        let before = script_calls(&server);
        let mut check = pin!(guard.check(&policy, &key));
        let answer = match poll!(check.as_mut()) {
            // The machine has left this thread alone for so long that it is answered.
            Poll::Ready(answer) => answer,
            Poll::Pending => {
                let begun = Instant::now();
                while script_calls(&server) == before {
                    assert!(begun.elapsed() < PATIENCE, "nobody is called for");
                    std::thread::sleep(Duration::from_millis(1));
                }
                check.await
            }
        };
        assert!(answer.unwrap().is_allowed());
    }
}

/// The task that is to say so is left on a runtime that nobody polls.
#[test]
fn who_comes_after_a_runtime_that_stands_still_is_called_for_at_once() {
    let server = RedisServer::start();
    let guard = server.guard("stale");
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (left, other) = (runtime(), runtime());
    left.block_on(async {
        burst(&guard).await;
        let (policy, key) = (policy(), Key::from("lone"));
        let mut check = pin!(guard.check(&policy, &key));
        let _ = poll!(check.as_mut());
    });
    let (policy, keys) = (policy(), [Key::from("one"), Key::from("other")]);
    let pair = || {
        let begun = Instant::now();
        other.block_on(join_all(keys.iter().map(|key| guard.check(&policy, key))));
        begun.elapsed()
    };
    // Who is found when the caller looks for itself is found after 5 ms.
    let soon = Duration::from_millis(4);
    let begun = Instant::now();
    while (0..50).filter(|_| pair() < soon).count() < 25 {
        assert!(begun.elapsed() < PATIENCE, "they wait for the caller to look");
    }
    drop(left);
}

/// Who shares a call depends on who runs when. So it is looked for a round in which many did; usually it is the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_that_check_in_a_loop_need_far_fewer_calls_than_checks() {
    const LAPS: u32 = 30;
    let server = RedisServer::start();
    let guard = server.guard("loop");
    burst(&guard).await;
    let begun = Instant::now();
    loop {
        let before = script_calls(&server);
        let task = |task: u32| {
            let guard = guard.clone();
            tokio::spawn(async move {
                let policy = policy();
                for lap in 0..LAPS {
                    let key = Key::from(task * LAPS + lap);
                    assert!(guard.check(&policy, &key).await.unwrap().is_allowed());
                }
            })
        };
        for done in join_all((0..TASKS).map(task)).await {
            done.unwrap();
        }
        let calls = script_calls(&server) - before;
        if calls * 3 <= u64::from(TASKS * LAPS) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{calls} calls for {} checks", TASKS * LAPS);
    }
}

/// It comes before the burst is answered or after, and soon after its call or not; nobody comes after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_comes_right_after_many_and_before_nobody_is_answered() {
    let server = RedisServer::start();
    let guard = server.guard("lone");
    let (policy, key) = (policy(), Key::from("lone"));
    burst(&guard).await;
    for round in 0..300_u64 {
        let many = tokio::spawn({
            let guard = guard.clone();
            async move { burst(&guard).await }
        });
        if round % 3 == 0 {
            // Right after they were answered.
            many.await.unwrap();
            assert!(guard.check(&policy, &key).await.unwrap().is_allowed());
        } else {
            std::thread::sleep(Duration::from_micros(round % 100 * 10));
            assert!(guard.check(&policy, &key).await.unwrap().is_allowed());
            many.await.unwrap();
        }
    }
}

#[tokio::test]
async fn one_who_comes_while_many_are_being_answered_is_answered_after_them() {
    let server = RedisServer::start();
    let guard = server.guard("after");
    let (policy, key) = (policy(), Key::from("lone"));
    burst(&guard).await;
    for _ in 0..8 {
        server.freeze();
        let (mut many, mut lone) = (pin!(burst(&guard)), pin!(guard.check(&policy, &key)));
        assert!(poll!(many.as_mut()).is_pending());
        assert!(poll!(lone.as_mut()).is_pending());
        server.thaw();
        assert!(lone.await.unwrap().is_allowed());
        many.await;
    }
}
