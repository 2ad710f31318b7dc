//! How things stand, as a guard tells when it is asked.

use rateguard::{Key, Policy, RateGuard};

use super::Recorder;

const KEYS: &str = "rateguard_memory_keys";
const IN_MEMORY: [(&str, &str); 1] = [("store", "memory")];

async fn check(guard: &RateGuard, keys: u32) {
    let policy = Policy::new("app", "5/hour").unwrap();
    for key in 0..keys {
        guard.check(&policy, &Key::from(key.to_string())).await.unwrap();
    }
}

#[test]
fn the_keys_of_all_guards_are_summed_up_and_leave_with_their_guard() {
    Recorder::hear(async |recorder| {
        let (one, other) = (RateGuard::in_memory(), RateGuard::in_memory());
        check(&one, 3).await;
        check(&other, 4).await;
        assert_eq!(recorder.gauge(KEYS, &IN_MEMORY), None);
        for _ in 0..2 {
            one.update_gauges();
            other.update_gauges();
            assert_eq!(recorder.gauge(KEYS, &IN_MEMORY), Some(7.0));
        }
        check(&one, 10).await;
        one.update_gauges();
        assert_eq!(recorder.gauge(KEYS, &IN_MEMORY), Some(14.0));
        drop(one);
        assert_eq!(recorder.gauge(KEYS, &IN_MEMORY), Some(4.0));
    });
}

#[test]
fn each_quota_says_how_much_it_admits_in_which_time_before_it_is_used() {
    Recorder::hear(async |recorder| {
        let policy = Policy::new("api", "5/second; 1000/day token_bucket burst 20").unwrap();
        let _guard = RateGuard::builder().policy(policy).for_attributes(false).build().unwrap();
        for (quota, limit, window) in
            [("5/second", 5.0, 1.0), ("1000/day token_bucket burst 20", 1000.0, 86_400.0)]
        {
            let labels = [("policy", "api"), ("quota", quota)];
            assert_eq!(recorder.gauge("rateguard_quota_limit", &labels), Some(limit));
            assert_eq!(recorder.gauge("rateguard_quota_window_seconds", &labels), Some(window));
        }
    });
}
