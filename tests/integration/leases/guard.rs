//! Tests leases of one guard on Redis.

use std::time::Duration;

use actix_rateguard::{Decision, Key, OnError, Policy, RateGuard};

use crate::support::{
    TEST_TIMEOUT,
    redis_server::{RedisServer, script_calls},
};

/// The duration of a lease that does not end during a test.
const LONG: &str = "100000/10m lease 50 for 10s";

/// The number of units of the first lease of a key: twice the number of admissions after which a key is busy.
pub(super) const FIRST_LEASE: u32 = 16;

pub(super) fn policy(quotas: &str) -> Policy {
    Policy::new("leases", quotas.to_owned()).unwrap()
}

pub(super) async fn check(guard: &RateGuard, policy: &Policy) -> Decision {
    guard.check(policy, &Key::global()).await.unwrap()
}

/// Checks the key until a lease decides.
pub(super) async fn check_until_leased(guard: &RateGuard, policy: &Policy) -> u32 {
    for checks in 1.. {
        let decision = check(guard, policy).await;
        assert!(decision.is_allowed(), "no lease after {checks} checks");
        if decision.is_leased() {
            return checks;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    unreachable!()
}

pub(super) async fn remaining(guard: &RateGuard, policy: &Policy) -> u32 {
    guard.peek(policy, &Key::global()).await.unwrap().remaining()
}

/// Waits until the store has this number of remaining units.
pub(super) async fn until_remaining(guard: &RateGuard, policy: &Policy, expected: u32) {
    until(guard, policy, |remaining| remaining == expected).await;
}

/// Waits until `is_reached` returns true for the number of remaining units in the store.
async fn until(guard: &RateGuard, policy: &Policy, is_reached: impl Fn(u32) -> bool) {
    let wait = async {
        while !is_reached(remaining(guard, policy).await) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let is_done = tokio::time::timeout(TEST_TIMEOUT, wait).await;
    assert!(is_done.is_ok(), "{} units remain", remaining(guard, policy).await);
}

/// Checks a busy key until leases have decided this number of checks, and requires few script calls. The policy has
/// 100,000 units and leases of 50 units.
pub(super) async fn assert_few_calls(policy: &Policy, leased_checks: u64) {
    let server = RedisServer::start();
    let guard = server.guard("busy");
    let first = check_until_leased(&guard, policy).await;
    let before = script_calls(&server);
    let (mut leased, mut checks) = (0_u64, 0_u64);
    while leased < leased_checks {
        let decision = check(&guard, policy).await;
        assert!(decision.is_allowed());
        (leased, checks) = (leased + u64::from(decision.is_leased()), checks + 1);
        if decision.is_leased() && decision.remaining() < 10 {
            // Without a pause, one loop uses a lease faster than the next one arrives.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    let calls = script_calls(&server) - before;
    // One call for 50 units, and the calls of the checks that found no unit.
    let max = leased_checks / 50 * 2 + (checks - leased) + 10;
    assert!(calls <= max, "{calls} calls for {checks} checks");
    assert!(calls < checks / 5, "{calls} calls for {checks} checks");
    guard.close().await;
    let other = server.guard("busy");
    assert_eq!(remaining(&other, policy).await, 100_000 - first - checks as u32);
}

/// Returns how many checks three guards admit, with two loops each that end after 200 denials.
pub(super) async fn admitted_by_three_guards(policy: &Policy) -> u32 {
    let server = RedisServer::start();
    let guards = ["several"; 3].map(|prefix| server.guard(prefix));
    let admit = |guard: RateGuard| {
        let policy = policy.clone();
        tokio::spawn(async move {
            let (mut admitted, mut denials) = (0, 0);
            while denials < 200 {
                if check(&guard, &policy).await.is_allowed() {
                    admitted += 1;
                } else {
                    denials += 1;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            admitted
        })
    };
    let tasks = guards.clone().into_iter().flat_map(|guard| [admit(guard.clone()), admit(guard)]);
    let mut total = 0;
    for task in tasks.collect::<Vec<_>>() {
        total += task.await.unwrap();
    }
    total
}

#[tokio::test]
async fn busy_key_needs_few_calls_and_counts_each_request() {
    assert_few_calls(&policy(LONG), 5_000).await;
}

#[tokio::test]
async fn key_with_few_requests_gets_no_lease() {
    let server = RedisServer::start();
    let guard = server.guard("quiet");
    let policy = policy("100000/minute lease 50 for 100ms");
    for _ in 0..12 {
        assert!(!check(&guard, &policy).await.is_leased());
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

#[tokio::test]
async fn units_are_taken_one_by_one_when_few_remain() {
    let server = RedisServer::start();
    let guard = server.guard("last");
    // A lease has at most a quarter of the remaining units, and at least 4.
    let policy = policy("15/10m lease 7 for 10s");
    for remaining in (0..15).rev() {
        let decision = check(&guard, &policy).await;
        assert!(decision.is_allowed() && !decision.is_leased());
        assert_eq!(decision.remaining(), remaining);
    }
    assert!(!check(&guard, &policy).await.is_allowed());
}

#[tokio::test]
async fn limit_is_admitted_exactly_by_several_guards() {
    let admitted = admitted_by_three_guards(&policy("500/10m lease 50 for 500ms")).await;
    // Each guard returns its unused units, and the others then take them.
    assert_eq!(admitted, 500);
}

#[tokio::test]
async fn unused_units_come_back() {
    let server = RedisServer::start();
    let guard = server.guard("idle");
    let policy = policy("100000/10m lease 50 for 1s");
    let checks = check_until_leased(&guard, &policy).await;
    assert!(remaining(&guard, &policy).await <= 100_000 - FIRST_LEASE);
    until_remaining(&guard, &policy, 100_000 - checks).await;
}

#[tokio::test]
async fn closed_guard_returns_its_units() {
    let server = RedisServer::start();
    let guard = server.guard("closed");
    let policy = policy(LONG);
    let checks = check_until_leased(&guard, &policy).await;
    guard.close().await;
    assert!(guard.check(&policy, &Key::global()).await.is_err());
    assert_eq!(remaining(&server.guard("closed"), &policy).await, 100_000 - checks);
}

#[tokio::test]
async fn lost_guard_strands_its_units_for_a_lease_and_a_window() {
    let server = RedisServer::start();
    let policy = policy("1000/2s lease 50 for 500ms");
    let guard = server.guard("lost");
    check_until_leased(&guard, &policy).await;
    // The guard is dropped without `close`, so nobody returns its units.
    drop(guard);
    let other = server.guard("lost");
    assert!(remaining(&other, &policy).await <= 1_000 - FIRST_LEASE);
    until_remaining(&other, &policy, 1_000).await;
}

#[tokio::test]
async fn reset_gives_all_units_of_its_process_back() {
    let server = RedisServer::start();
    let guard = server.guard("reset");
    let policy = policy(LONG);
    check_until_leased(&guard, &policy).await;
    guard.reset(&policy, &Key::global()).await.unwrap();
    assert_eq!(remaining(&guard, &policy).await, 100_000);
    assert!(!check(&guard, &policy).await.is_leased());
}

#[tokio::test]
async fn reset_of_another_process_keeps_leased_units() {
    let server = RedisServer::start();
    let [guard, other] = ["resets"; 2].map(|prefix| server.guard(prefix));
    let policy = policy(LONG);
    check_until_leased(&guard, &policy).await;
    other.reset(&policy, &Key::global()).await.unwrap();
    // The first process may still use the units of its lease, so they count.
    assert!(remaining(&other, &policy).await <= 100_000 - FIRST_LEASE);
    assert!(check(&guard, &policy).await.is_leased());
}

#[tokio::test]
async fn reservation_takes_its_units_from_the_store() {
    let server = RedisServer::start();
    let guard = server.guard("reserve");
    let policy = policy("100000/10m lease 50 for 1s");
    let checks = check_until_leased(&guard, &policy).await;
    let reservation = guard.request(&policy, &Key::global()).cost(3).reserve().await.unwrap();
    assert!(reservation.decision().is_allowed() && !reservation.decision().is_leased());
    let before = remaining(&guard, &policy).await;
    reservation.refund().await.unwrap();
    assert_eq!(remaining(&guard, &policy).await, before + 3);
    until_remaining(&guard, &policy, 100_000 - checks).await;
}

#[tokio::test]
async fn changed_policy_does_not_use_the_old_lease() {
    let server = RedisServer::start();
    let guard = server.guard("changed");
    let old = policy(LONG);
    let checks = check_until_leased(&guard, &old).await;
    let new = policy("1000/10m lease 20 for 10s");
    let decision = check(&guard, &new).await;
    assert!(decision.is_allowed() && !decision.is_leased());
    // The unused units of the old lease come back at once.
    until_remaining(&guard, &new, 1_000 - checks - 1).await;
}

#[tokio::test]
async fn lease_serves_while_redis_is_away() {
    let mut server = RedisServer::start();
    let guard = server.guard("away");
    let policy = policy(LONG).on_error(OnError::Closed);
    check_until_leased(&guard, &policy).await;
    server.kill();
    assert!(check(&guard, &policy).await.is_leased());
}

#[tokio::test]
async fn cost_above_the_unused_units_is_decided_by_the_store() {
    let server = RedisServer::start();
    let guard = server.guard("costs");
    let policy = policy(LONG);
    check_until_leased(&guard, &policy).await;
    let cost =
        async |cost| guard.request(&policy, &Key::global()).cost(cost).check().await.unwrap();
    assert!(cost(5).await.is_leased());
    let costly = cost(200).await;
    assert!(costly.is_allowed() && !costly.is_leased());
    assert!(!cost(0).await.is_leased());
}

#[tokio::test]
async fn store_in_memory_needs_no_lease() {
    let guard = RateGuard::in_memory();
    let policy = policy("40/10m lease 10 for 1s");
    for remaining in (0..40).rev() {
        let decision = check(&guard, &policy).await;
        assert_eq!((decision.remaining(), decision.is_leased()), (remaining, false));
    }
    assert!(!check(&guard, &policy).await.is_allowed());
}

#[tokio::test]
async fn key_with_few_requests_takes_few_units() {
    let server = RedisServer::start();
    let guard = server.guard("few");
    // Redis stores each unit, so eight requests for each of many keys must not fill its memory.
    let policy = policy("100000/10m lease 1000 for 10s");
    let checks = check_until_leased(&guard, &policy).await;
    assert_eq!(remaining(&guard, &policy).await, 100_000 - (checks - 1) - FIRST_LEASE);
}

#[tokio::test]
async fn costly_requests_get_a_lease_that_has_enough_units() {
    let server = RedisServer::start();
    let guard = server.guard("costly");
    let policy = policy("100000/10m lease 1000 for 10s");
    let (key, mut leased) = (Key::global(), 0);
    while leased < 5 {
        let decision = guard.request(&policy, &key).cost(50).check().await.unwrap();
        assert!(decision.is_allowed(), "{leased} leased");
        leased += u32::from(decision.is_leased());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn requests_that_no_lease_could_admit_request_none() {
    let server = RedisServer::start();
    for (prefix, cost) in [("free", 0), ("costly", 100)] {
        let guard = server.guard(prefix);
        let policy = policy(LONG);
        for _ in 0..12 {
            guard.request(&policy, &Key::global()).cost(cost).check().await.unwrap();
        }
        // If the process requests a lease, Redis grants it after the last check.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(remaining(&guard, &policy).await, 100_000 - 12 * cost, "{prefix}");
    }
}

#[tokio::test]
async fn units_come_back_after_a_short_failure_of_redis() {
    let server = RedisServer::start();
    let guard = server.settings("frozen").deadline(Duration::from_millis(500)).build().unwrap();
    let policy = policy("100000/10m lease 50 for 500ms").on_error(OnError::Closed);
    for checks in 1.. {
        // On a slow machine, a check can fail, and may have taken a unit.
        if guard.check(&policy, &Key::global()).await.is_ok_and(|it| it.is_leased()) {
            // Redis does not answer while the lease ends, nor for two deadlines afterwards.
            server.freeze();
            tokio::time::sleep(Duration::from_millis(2_000)).await;
            server.thaw();
            until(&server.guard("frozen"), &policy, |remaining| remaining >= 100_000 - checks)
                .await;
            break;
        }
    }
}

#[tokio::test]
async fn closed_guard_returns_the_units_of_many_keys() {
    const KEYS: u32 = 400;
    let server = RedisServer::start();
    let guard = server.guard("many");
    let policy = policy("100000/10m lease 1000 for 10s");
    let mut checks_of_keys = Vec::new();
    for key in (0..KEYS).map(Key::from) {
        let mut checks = 1;
        while !guard.check(&policy, &key).await.unwrap().is_leased() {
            checks += 1;
            tokio::task::yield_now().await;
        }
        checks_of_keys.push((key, checks));
    }
    guard.close().await;
    let other = server.guard("many");
    for (key, checks) in checks_of_keys {
        assert_eq!(other.peek(&policy, &key).await.unwrap().remaining(), 100_000 - checks);
    }
}

#[tokio::test]
async fn used_units_count_in_the_local_share() {
    let mut server = RedisServer::start();
    let settings = server.settings("local").deadline(TEST_TIMEOUT).replicas(50);
    let guard = settings.on_error(OnError::Local).build().unwrap();
    // The share of this process is 20 units.
    let policy = policy("1000/10m lease 50 for 500ms");
    let mut checks = check_until_leased(&guard, &policy).await;
    while checks < 19 {
        checks += 1;
        assert!(check(&guard, &policy).await.is_allowed());
    }
    until_remaining(&guard, &policy, 1_000 - checks).await;
    server.kill();
    let mut admitted = 0;
    while check(&guard, &policy).await.is_allowed() {
        admitted += 1;
    }
    assert_eq!(checks + admitted, 20);
}
