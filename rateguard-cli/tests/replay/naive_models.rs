//! Compares the replay with simple models that store all times of each key.

use std::collections::HashMap;

use proptest::prelude::*;

use crate::support::{Request, json_log, numbers, replay_json};

/// Returns how many requests a model denies. `times` are in milliseconds.
fn denied(requests: &[(u64, u8)], mut denies: impl FnMut(&mut Vec<u64>, u64) -> bool) -> u64 {
    let mut times: HashMap<u8, Vec<u64>> = HashMap::new();
    let mut denied = 0;
    for (time, key) in requests {
        let admitted = times.entry(*key).or_default();
        if denies(admitted, *time) {
            denied += 1;
        } else {
            admitted.push(*time);
        }
    }
    denied
}

fn sliding_window(requests: &[(u64, u8)], limit: usize, window: u64) -> u64 {
    denied(requests, |admitted, now| {
        admitted.iter().filter(|time| now < **time + window).count() >= limit
    })
}

/// A window starts at the first request after the last window.
fn fixed_window(requests: &[(u64, u8)], limit: usize, window: u64) -> u64 {
    denied(requests, |admitted, now| {
        let mut starts: Vec<u64> = Vec::new();
        for time in admitted.iter() {
            if starts.last().is_none_or(|start| *time >= start + window) {
                starts.push(*time);
            }
        }
        let Some(start) = starts.last().filter(|start| now < **start + window) else {
            return false;
        };
        admitted.iter().filter(|time| *time >= start).count() >= limit
    })
}

/// The bucket has `burst` tokens, and gets `limit` tokens in each window. One token has `window` parts here.
fn token_bucket(requests: &[(u64, u8)], limit: u64, window: u64, burst: u64) -> u64 {
    denied(requests, |admitted, now| {
        let (mut parts, mut last) = (burst * window, 0);
        for time in admitted.iter() {
            parts = (parts + (time - last) * limit).min(burst * window) - window;
            last = *time;
        }
        (parts + (now - last) * limit).min(burst * window) < window
    })
}

/// Returns the highest number of requests of a key in a window.
fn highest_use(requests: &[(u64, u8)], window: u64) -> u64 {
    let in_window = |(end, key): &(u64, u8)| {
        requests
            .iter()
            .filter(|(time, it)| it == key && time <= end && *end < time + window)
            .count()
    };
    requests.iter().map(in_window).max().unwrap_or(0) as u64
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn replay_denies_what_a_simple_model_denies(
        steps in prop::collection::vec((prop_oneof![Just(0_u64), 1_u64..400, 400_u64..5_000], 0_u8..4), 1..200),
        limit in 1_u64..8,
        burst in 1_u64..8,
        seconds in 1_u64..12,
    ) {
        let mut time = 0;
        let requests: Vec<(u64, u8)> = steps.iter().map(|(step, key)| {
            time += step;
            (time, *key)
        }).collect();
        let lines: Vec<Request> =
            requests.iter().map(|(time, key)| Request::at(*time, &format!("192.0.2.{key}"))).collect();
        let log = json_log(&lines);
        let window = seconds * 1_000;
        for (rate, expected) in [
            (format!("{limit}/{seconds}s"), sliding_window(&requests, limit as usize, window)),
            (format!("{limit}/{seconds}s fixed_window"), fixed_window(&requests, limit as usize, window)),
            (format!("{limit}/{seconds}s token_bucket burst {burst}"), token_bucket(&requests, limit, window, burst)),
        ] {
            let result = replay_json(&["--rate", &rate, "--key", "ip"], &log);
            let [count, denied, allowed] = numbers(&result, ["requests", "denied", "allowed"]);
            prop_assert_eq!(denied, expected, "{} {:?}", rate, requests);
            prop_assert_eq!((count, allowed), (requests.len() as u64, requests.len() as u64 - expected));
            let highest = result["percentiles"][0]["max"].as_u64();
            prop_assert_eq!(highest, Some(highest_use(&requests, window)), "{}", rate);
        }
    }
}
