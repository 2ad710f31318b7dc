//! Tests floods of random keys against the memory store. During a flood from one network, bans must still begin, and
//! the guard must still admit clients of other networks.

use std::time::Duration;

use actix_rateguard::{Decision, Key, MemoryStore, Policy, RateGuard, key, test_util::ManualClock};
use futures_util::FutureExt;

fn guard(max_keys: usize) -> (RateGuard, ManualClock) {
    let clock = ManualClock::new();
    let store = MemoryStore::new().max_keys(max_keys).clock(clock.clone());
    (RateGuard::builder().store(store).build().unwrap(), clock)
}

fn check(guard: &RateGuard, policy: &Policy, key: &Key) -> Decision {
    guard.check(policy, key).now_or_never().unwrap().unwrap()
}

fn client(address: &str) -> Key {
    key::ip().key_of(address).unwrap()
}

/// A flood of requests. Each request comes from a new client, and all these clients are in one /48 network.
struct Flood {
    policy: Policy,
    networks: std::ops::Range<u32>,
}

impl Flood {
    fn new() -> Self {
        // The window is one day. Therefore no key expires during the test, and the store stays full.
        Self { policy: Policy::new("flood", "1/day").unwrap(), networks: 0..65_536 }
    }

    fn send(&mut self, guard: &RateGuard, requests: usize) {
        for network in self.networks.by_ref().take(requests) {
            check(guard, &self.policy, &client(&format!("2001:db8:1:{network:x}::1")));
        }
    }
}

fn login() -> Policy {
    Policy::new("login", "5/minute").unwrap().ban("3/hour for 1h").unwrap()
}

/// Sends eight checks of a key: five that use up the limit of `login`, and three that should be denied. Returns the
/// last decision.
///
/// Calls `between` before each check except the first check.
fn offend(guard: &RateGuard, policy: &Policy, key: &Key, mut between: impl FnMut()) -> Decision {
    let mut last = check(guard, policy, key);
    for _ in 1..8 {
        between();
        last = check(guard, policy, key);
    }
    last
}

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn bans_begin_and_last_during_a_flood_of_one_network() {
    let (guard, clock) = guard(10_000);
    let (policy, mut flood) = (login(), Flood::new());
    flood.send(&guard, 20_000);
    let offenders: Vec<Key> = (0..50).map(|number| client(&format!("10.{number}.0.1"))).collect();
    let banned = offenders
        .iter()
        .map(|key| offend(&guard, &policy, key, || flood.send(&guard, 10)))
        .filter(|decision| decision.banned_for() == Some(HOUR))
        .count();
    assert_eq!(banned, 50);

    // These 10,000 offenders (clients that continue after denials) are in one network. The store has too little room
    // to count all of them separately.
    for number in 0..10_000_u32 {
        offend(&guard, &policy, &client(&format!("2001:db8:2:{number:x}::1")), || {});
    }
    clock.advance(HOUR / 2);
    for key in &offenders {
        assert_eq!(check(&guard, &policy, key).banned_for(), Some(HOUR / 2));
    }
    // The store must still ban a new offender from a different network.
    let later = offend(&guard, &policy, &client("192.0.2.1"), || {});
    assert_eq!(later.banned_for(), Some(HOUR));
    clock.advance(HOUR / 2);
    for key in &offenders {
        assert!(check(&guard, &policy, key).is_allowed());
    }
}

#[test]
fn key_that_uses_up_a_shared_slot_alone_is_banned() {
    for number in 0..50 {
        let (guard, _) = guard(64);
        let filler = Policy::new("filler", "1/day").unwrap();
        for user in 0..64 {
            check(&guard, &filler, &Key::from(user));
        }
        let (policy, key) = (login(), Key::from(("offender", number)));
        assert_eq!(offend(&guard, &policy, &key, || {}).banned_for(), Some(HOUR));
        assert_eq!(check(&guard, &policy, &key).banned_for(), Some(HOUR));
    }
}

#[test]
fn key_denied_by_a_shared_slot_is_not_banned() {
    let (guard, _) = guard(64);
    let filler = Policy::new("filler", "1/day").unwrap();
    for user in 0..64 {
        check(&guard, &filler, &Key::from(user));
    }
    // The store is full, so these keys are counted in shared slots. They use up all 16 shared slots of their quota. The
    // policy `login` has the same quota, so it uses the same slots. Unlike `login`, the policy `crowd` has no ban.
    let crowd = Policy::new("crowd", "5/minute").unwrap();
    for number in 0..1_000 {
        offend(&guard, &crowd, &Key::from(("crowd", number)), || {});
    }
    let (policy, mut denied) = (login(), 0);
    for number in 0..10 {
        for _ in 0..5 {
            let decision = check(&guard, &policy, &Key::from(("innocent", number)));
            assert_eq!(decision.banned_for(), None);
            denied += u32::from(!decision.is_allowed());
        }
    }
    assert_eq!(denied, 50, "expected all shared slots to be used up");
}

#[test]
fn flood_of_one_network_does_not_deny_other_networks() {
    let (guard, _) = guard(10_000);
    let (policy, mut flood) = (Policy::new("search", "5/minute").unwrap(), Flood::new());
    flood.send(&guard, 20_000);
    for number in 0..200 {
        let address = match number % 2 {
            0 => format!("10.{number}.0.1"),
            _ => format!("2a00:{number:x}::1"),
        };
        for _ in 0..5 {
            assert!(check(&guard, &policy, &client(&address)).is_allowed(), "{address}");
            flood.send(&guard, 40);
        }
        assert!(!check(&guard, &policy, &client(&address)).is_allowed());
    }
}
