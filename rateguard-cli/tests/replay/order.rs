//! Requests that are not in the order of their times.

use serde_json::Value;

use crate::support::{Request, TestFile, json_log, numbers, replay_json, traffic};

const RATE: [&str; 4] = ["--rate", "5/minute", "--key", "ip"];

fn of_decisions(result: &Value) -> [u64; 3] {
    numbers(result, ["requests", "denied", "keys_denied"])
}

#[test]
fn requests_within_the_window_are_sorted() {
    let requests = traffic(5, 1_000);
    let expected = replay_json(&RATE, json_log(&requests));
    let mut shuffled = requests.clone();
    // Each request is at most 4 seconds late.
    shuffled.sort_by_key(|it| (it.millis + it.millis * 7 % 4_000, it.millis));
    let sorted = replay_json(&RATE, json_log(&shuffled));
    assert!(numbers(&sorted, ["out_of_order"])[0] > 100);
    assert_eq!(numbers(&sorted, ["late"]), [0]);
    assert_eq!(sorted["last_time"], expected["last_time"]);
    let by_key = |result: &Value| of_decisions(result);
    // Requests at one time may have changed their order, so only the sums are compared.
    assert_eq!(by_key(&sorted), by_key(&expected));
    assert_eq!(numbers(&expected, ["out_of_order", "late"]), [0, 0]);
}

#[test]
fn ordered_log_does_not_depend_on_the_window() {
    let log = json_log(&traffic(6, 1_000));
    let results = ["0s", "1s", "1h"].map(|window| {
        let mut result = replay_json(&[&RATE[..], &["--reorder", window]].concat(), &log);
        for name in ["seconds", "lines_per_second"] {
            result.as_object_mut().unwrap().remove(name);
        }
        result
    });
    assert_eq!(results[0], results[1]);
    assert_eq!(results[0], results[2]);
}

#[test]
fn later_request_counts_at_the_reached_time() {
    // Without an order, the last request is 50 s late, and counts together with the one before it.
    let requests = [0, 30_000, 60_000, 10_000].map(|millis| Request::at(millis, "192.0.2.1"));
    let replayed = |window: &str| {
        let result = replay_json(
            &["--rate", "2/20s", "--key", "ip", "--reorder", window],
            json_log(&requests),
        );
        numbers(&result, ["denied", "out_of_order", "late"])
    };
    assert_eq!(replayed("0s"), [0, 1, 1]);
    assert_eq!(replayed("1m"), [0, 1, 0]);
    let result =
        replay_json(&["--rate", "1/20s", "--key", "ip", "--reorder", "0"], json_log(&requests));
    assert_eq!(numbers(&result, ["denied", "late"]), [1, 1]);
}

#[test]
fn files_in_wrong_order_are_reported() {
    let requests = traffic(8, 1_000);
    let (old, new) = requests.split_at(500);
    let files = [TestFile::new("old", json_log(old)), TestFile::new("new", json_log(new))];
    let [old, new] = files.each_ref().map(TestFile::path);
    let right = replay_json(&[&RATE[..], &[old, new]].concat(), "");
    assert_eq!(right["warnings"].as_array().unwrap().len(), 0);
    let wrong = replay_json(&[&RATE[..], &[new, old]].concat(), "");
    assert!(wrong["warnings"][0].as_str().unwrap().contains("begins before the end"), "{wrong}");
    assert!(numbers(&wrong, ["late"])[0] > 400);
}
