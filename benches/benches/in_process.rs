//! Microbenchmarks of the parts of a check: `cargo bench --package rateguard-benches`. They give quick feedback on a
//! change. `scripts/bench` compares RateGuard with other limiters, in several rounds.

#![allow(clippy::expect_used, reason = "a benchmark that cannot start should panic")]

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use actix_rateguard::{Algorithm, Key, Policy, Quota, Quotas, RateGuard};
use divan::{Bencher, black_box};
use futures_util::FutureExt;
use governor::RateLimiter;

const KEYS: [u64; 3] = [1, 1_000, 100_000];

fn main() {
    divan::main();
}

fn algorithms() -> [Algorithm; Algorithm::NAMES.len()] {
    Algorithm::NAMES.map(|(algorithm, _)| algorithm)
}

/// A quota that is never exceeded, because its window is 1 ms.
fn generous(algorithm: Algorithm) -> Policy {
    let quota = Quota::new(100_000_000, Duration::from_millis(1));
    let quota = quota.and_then(|quota| quota.with_algorithm(algorithm)).expect("a valid quota");
    Policy::new("app", quota).expect("a valid policy")
}

#[divan::bench(args = algorithms())]
fn allowed(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    let (guard, policy, key) = (RateGuard::in_memory(), generous(algorithm), Key::from(7_u64));
    bencher.bench(|| guard.check(black_box(&policy), black_box(&key)).now_or_never());
}

#[divan::bench(args = algorithms())]
fn denied(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    let (guard, key) = (RateGuard::in_memory(), Key::from(7_u64));
    let quota = Quota::new(1, Duration::from_secs(86_400));
    let quota = quota.and_then(|quota| quota.with_algorithm(algorithm)).expect("a valid quota");
    let policy = Policy::new("app", quota).expect("a valid policy");
    guard.check(&policy, &key).now_or_never();
    bencher.bench(|| guard.check(black_box(&policy), black_box(&key)).now_or_never());
}

#[divan::bench(args = KEYS)]
fn many_keys(bencher: Bencher<'_, '_>, keys: u64) {
    let (guard, policy) = (RateGuard::in_memory(), generous(Algorithm::TokenBucket));
    let next = AtomicU64::new(0);
    bencher.bench(|| {
        // Consecutive checks use distant keys.
        let key = Key::from(next.fetch_add(61_813, Relaxed) % keys);
        guard.check(&policy, black_box(&key)).now_or_never()
    });
}

#[divan::bench(args = KEYS)]
fn many_keys_governor(bencher: Bencher<'_, '_>, keys: u64) {
    let limiter = RateLimiter::keyed(governor::Quota::per_second(std::num::NonZeroU32::MAX));
    let next = AtomicU64::new(0);
    bencher.bench(|| {
        let key = next.fetch_add(61_813, Relaxed) % keys;
        limiter.check_key(black_box(&key)).is_ok()
    });
}

#[divan::bench(args = ["user-42", "a key that is as long as some that people make up of an address and a path"])]
fn key_from_text(text: &str) -> Key {
    Key::from(black_box(text))
}

#[divan::bench(args = ["5/minute", "5/second; 100/minute; 1000/day token_bucket burst 20"])]
fn quotas_from_text(text: &str) -> Option<Quotas> {
    black_box(text).parse().ok()
}
