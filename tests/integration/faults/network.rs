//! Tests network faults: a slow network, replies that are fragmented, truncated or corrupted, and a network that
//! transmits nothing.

use std::time::Duration;

use actix_rateguard::{Key, RateGuard, StoreError};

use super::checks::{Checks, DEADLINE, LONG_DEADLINE, is_undecided};
use crate::support::{
    namespace::Namespace,
    proxy::{NetworkFaults, Proxy},
    redis_server::RedisServer,
};

struct Network {
    proxy: Proxy,
    _redis: RedisServer,
}

impl Network {
    fn new() -> Self {
        let redis = RedisServer::start();
        Self { proxy: Proxy::to(redis.port()), _redis: redis }
    }

    fn checks(&self) -> Checks {
        Checks::with_short_deadline(RateGuard::redis(self.proxy.url()).prefix("test"))
    }
}

#[tokio::test]
async fn slow_network_within_deadline_enforces_exact_limit() {
    let network = Network::new();
    let settings = RateGuard::redis(network.proxy.url()).prefix("test");
    let checks = Checks::new(settings, LONG_DEADLINE, "100/day");
    // The first check sends the long source of the script. The checks after it send much less data, so they are fast
    // enough for the slow network.
    checks.wait_for_decision_on(&Key::from("first")).await;
    let millis = Duration::from_millis;
    for (day, faults) in [
        NetworkFaults { delay: millis(30), jitter: millis(30), ..NetworkFaults::default() },
        NetworkFaults { splits_bytes: true, ..NetworkFaults::default() },
        NetworkFaults { jitter: millis(5), splits_bytes: true, ..NetworkFaults::default() },
    ]
    .into_iter()
    .enumerate()
    {
        network.proxy.set_faults(faults);
        let key = Key::from(day);
        let results = futures_util::future::join_all((0..150).map(|_| checks.check(&key))).await;
        let admitted = results.into_iter().filter(|result| result.as_ref().unwrap().is_allowed());
        assert_eq!(admitted.count(), 100, "{faults:?}");
    }
}

#[tokio::test]
async fn network_slower_than_deadline_costs_at_most_the_deadline() {
    let network = Network::new();
    let checks = network.checks();
    let first = checks.wait_for_decision().await.remaining();
    network.proxy.set_faults(NetworkFaults { delay: 3 * DEADLINE, ..NetworkFaults::default() });
    assert!(checks.check_concurrently(50).await.iter().all(is_undecided));
    checks.assert_undecided_for(Duration::from_secs(1)).await;
    assert!(!checks.guard.health().is_good());
    network.proxy.clear_faults();
    // The server received the checks after their deadline, so it must not count them.
    checks.assert_no_late_counts(first).await;
}

#[tokio::test]
async fn truncated_replies_are_errors_and_count_at_most_once() {
    let network = Network::new();
    let checks = network.checks();
    let mut max_counted = u64::from(1_000_000 - checks.wait_for_decision().await.remaining());
    for length in [0, 1, 2, 5, 10, 20, 40] {
        network.proxy.set_faults(NetworkFaults {
            truncates_replies_after: Some(length),
            ..NetworkFaults::default()
        });
        for _ in 0..5 {
            assert!(checks.check_global().await.is_err(), "{length}");
            max_counted += 1;
        }
        network.proxy.clear_faults();
        let counted = u64::from(1_000_000 - checks.wait_for_decision().await.remaining());
        max_counted += 1;
        assert!(counted <= max_counted, "{counted} of {max_counted}");
        // The decision of the store shows the exact count. The next round continues with this count.
        max_counted = counted;
    }
}

#[tokio::test]
async fn corrupted_replies_are_never_decisions() {
    let network = Network::new();
    let checks = network.checks();
    checks.wait_for_decision().await;
    network.proxy.set_faults(NetworkFaults { corrupts_replies: true, ..NetworkFaults::default() });
    let before = network.proxy.connections();
    checks.assert_undecided_for(Duration::from_secs(2)).await;
    let made = network.proxy.connections() - before;
    assert!((1..25).contains(&made), "{made}");
    network.proxy.clear_faults();
    checks.wait_for_decision().await;
}

#[tokio::test]
async fn silent_network_is_replaced_by_a_new_connection() {
    let network = Network::new();
    let checks = network.checks();
    for (requests, replies) in [(true, false), (false, true), (true, true)] {
        let first = checks.wait_for_decision().await.remaining();
        let silent = NetworkFaults {
            stalls_requests: requests,
            stalls_replies: replies,
            ..NetworkFaults::default()
        };
        network.proxy.set_faults(silent);
        assert!(checks.check_concurrently(50).await.iter().all(is_undecided));
        checks.wait_for_error(StoreError::Unreachable(None)).await;
        checks.assert_undecided_for(Duration::from_secs(1)).await;
        network.proxy.clear_faults();
        if requests {
            // The server receives the checks after their deadline.
            checks.assert_no_late_counts(first).await;
        } else {
            // The server received each check in time, and may count it once. Only the replies did not arrive.
            let counted = first - checks.wait_for_decision().await.remaining();
            assert!(counted <= 60, "{counted}");
        }
    }
}

#[tokio::test]
async fn unplugged_network_costs_at_most_deadline_and_recovers() {
    let Some(network) = Namespace::new() else { return };
    let redis = RedisServer::start_at_location(network.location(), &["--protected-mode", "no"]);
    let checks = Checks::with_short_deadline(redis.settings("unplugged"));
    let first = checks.wait_for_decision().await.remaining();
    network.set_link_down();
    assert!(checks.check_concurrently(50).await.iter().all(is_undecided));
    checks.wait_for_error(StoreError::Unreachable(None)).await;
    checks.assert_undecided_for(Duration::from_secs(1)).await;
    network.set_link_up();
    // The kernel now sends the checks that it has buffered. These checks are late, so Redis must not count them.
    checks.assert_no_late_counts(first).await;
}
