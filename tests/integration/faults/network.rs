//! A bad network between: slow, torn, silent, or cut in the middle of a word.

use std::time::Duration;

use rateguard::{Key, RateGuard, StoreError};

use super::checks::{Checks, DEADLINE, PATIENT, is_undecided};
use crate::support::{
    namespace::Namespace,
    proxy::{Proxy, Treatment},
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
        Checks::many(RateGuard::redis(self.proxy.url()))
    }
}

#[tokio::test]
async fn a_slow_network_within_the_deadline_is_only_slow_and_the_limit_exact() {
    let network = Network::new();
    let settings = RateGuard::redis(network.proxy.url());
    let checks = Checks::new(settings, PATIENT, "100/day");
    // From here on it knows the script, which is long.
    checks.decided_of(&Key::from("first")).await;
    let millis = Duration::from_millis;
    for (day, treatment) in [
        Treatment { delay: millis(30), jitter: millis(30), ..Treatment::default() },
        Treatment { is_bytewise: true, ..Treatment::default() },
        Treatment { jitter: millis(5), is_bytewise: true, ..Treatment::default() },
    ]
    .into_iter()
    .enumerate()
    {
        network.proxy.treat(treatment);
        let key = Key::from(day);
        let many = futures_util::future::join_all((0..150).map(|_| checks.of(&key))).await;
        let admitted = many.into_iter().filter(|answer| answer.as_ref().unwrap().is_allowed());
        assert_eq!(admitted.count(), 100, "{treatment:?}");
    }
}

#[tokio::test]
async fn a_network_slower_than_the_deadline_costs_the_deadline_until_it_is_faster() {
    let network = Network::new();
    let checks = network.checks();
    let first = checks.decided().await.remaining();
    network.proxy.treat(Treatment { delay: 3 * DEADLINE, ..Treatment::default() });
    assert!(checks.at_once(50).await.iter().all(is_undecided));
    checks.stay_lost(Duration::from_secs(1)).await;
    assert!(!checks.guard.health().is_good());
    network.proxy.behave();
    // What came to the server too late was not counted there.
    checks.resume_without_ghosts(first).await;
}

#[tokio::test]
async fn replies_that_are_cut_anywhere_are_none_and_what_they_answer_counts_once() {
    let network = Network::new();
    let checks = network.checks();
    let mut asked = u64::from(1_000_000 - checks.decided().await.remaining());
    for length in [0, 1, 2, 5, 10, 20, 40] {
        network.proxy.treat(Treatment { cuts_replies_after: Some(length), ..Treatment::default() });
        for _ in 0..5 {
            assert!(checks.once().await.is_err(), "{length}");
            asked += 1;
        }
        network.proxy.behave();
        let counted = u64::from(1_000_000 - checks.decided().await.remaining());
        asked += 1;
        assert!(counted <= asked, "{counted} of {asked}");
        // From here on it is known again.
        asked = counted;
    }
}

#[tokio::test]
async fn bytes_that_were_changed_on_their_way_are_no_decision() {
    let network = Network::new();
    let checks = network.checks();
    checks.decided().await;
    network.proxy.treat(Treatment { garbles_replies: true, ..Treatment::default() });
    let before = network.proxy.connections();
    checks.stay_lost(Duration::from_secs(2)).await;
    let made = network.proxy.connections() - before;
    assert!((1..25).contains(&made), "{made}");
    network.proxy.behave();
    checks.decided().await;
}

#[tokio::test]
async fn a_network_that_falls_silent_one_way_or_both_is_left_for_a_new_connection() {
    let network = Network::new();
    let checks = network.checks();
    for (requests, replies) in [(true, false), (false, true), (true, true)] {
        let first = checks.decided().await.remaining();
        let silent =
            Treatment { holds_requests: requests, holds_replies: replies, ..Treatment::default() };
        network.proxy.treat(silent);
        assert!(checks.at_once(50).await.iter().all(is_undecided));
        checks.lost(StoreError::Unreachable).await;
        checks.stay_lost(Duration::from_secs(1)).await;
        network.proxy.behave();
        if requests {
            // The server hears it too late.
            checks.resume_without_ghosts(first).await;
        } else {
            // It has heard each of them once, and it is only we who have not heard it.
            let counted = first - checks.decided().await.remaining();
            assert!(counted <= 60, "{counted}");
        }
    }
}

#[tokio::test]
async fn a_cable_that_was_pulled_costs_no_more_than_the_deadline_and_is_used_again() {
    let Some(network) = Namespace::new() else { return };
    let redis = RedisServer::start_in(network.place(), &["--protected-mode", "no"]);
    let checks = Checks::many(redis.settings("cable"));
    let first = checks.decided().await.remaining();
    network.pull_the_cable();
    assert!(checks.at_once(50).await.iter().all(is_undecided));
    checks.lost(StoreError::Unreachable).await;
    checks.stay_lost(Duration::from_secs(1)).await;
    network.plug_it_in();
    // What the kernel had kept to be sent comes too late.
    checks.resume_without_ghosts(first).await;
}
