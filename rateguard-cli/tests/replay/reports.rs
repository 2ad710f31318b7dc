//! The reports of a replay.

use std::{io::Write, process::Stdio};

use crate::support::{Request, TestFile, command, json_log, numbers, replay, replay_json, traffic};

#[test]
fn json_object_has_the_documented_fields() {
    let result = replay_json(&["--rate", "20/minute", "--key", "ip"], json_log(&traffic(1, 3_000)));
    assert_eq!(result["version"], 1);
    let [requests, allowed, denied, skipped] =
        numbers(&result, ["requests", "allowed", "denied", "skipped"]);
    assert_eq!((requests, requests, skipped), (3_000, allowed + denied, 0));
    assert!(denied > 0);
    let [keys, keys_denied] = numbers(&result, ["keys", "keys_denied"]);
    assert!(keys >= keys_denied && keys_denied > 0);
    assert_eq!(result["first_time"], "2024-05-01T12:00:00Z");
    assert_eq!(result["quotas"][0]["quota"], "20/minute");
    assert_eq!(
        numbers(&result["quotas"][0], ["denied", "keys_above_limit"]),
        [denied, keys_denied]
    );
    let top = result["top_denied"].as_array().unwrap();
    let of_top: u64 = top.iter().map(|it| it["denied"].as_u64().unwrap()).sum();
    assert_eq!(of_top, denied);
    let slots = result["timeline"]["slots"].as_array().unwrap();
    assert_eq!(slots.iter().map(|it| it["denied"].as_u64().unwrap()).sum::<u64>(), denied);
}

#[test]
fn keys_are_above_the_limit_of_a_token_bucket_and_not_above_its_burst() {
    let log = json_log(&traffic(1, 3_000));
    let sliding = replay_json(&["--rate", "20/minute", "--key", "ip"], &log);
    let bucket = replay_json(&["--rate", "20/minute token_bucket burst 3", "--key", "ip"], &log);
    let [above] = numbers(&sliding["quotas"][0], ["keys_above_limit"]);
    assert_eq!(
        numbers(&bucket["quotas"][0], ["limit", "burst", "keys_above_limit"]),
        [20, 3, above]
    );
}

#[test]
fn limit_that_hurts_no_key_denies_nothing() {
    let log = json_log(&traffic(2, 3_000));
    let result = replay_json(&["--rate", "1/10s", "--key", "ip"], &log);
    let limit = result["limits_that_hurt"][0]["limits"][0]["limit"].as_u64().unwrap();
    for (limit, is_denied) in [(limit, false), (limit - 1, true)] {
        let result = replay_json(&["--rate", &format!("{limit}/10s"), "--key", "ip"], &log);
        assert_eq!(numbers(&result, ["denied"])[0] > 0, is_denied, "{limit}");
    }
}

#[test]
fn suggested_file_is_valid_and_denies_nothing() {
    let file = TestFile::new(
        "policies.toml",
        "[policies.\"a.b\"]\nrate = \"1/second; 2/minute\"\nkey = \"user+ip\"\nmissing_key = \"skip\"\nban = \"10/hour for 15m up to 1d\"\n\
         [policies.calendar]\nrate = \"3/calendar day\"\ncost = 2\n\
         [policies.failures]\nrate = \"3/minute token_bucket\"\ncount = \"status:401\"\nmethods = \"GET, POST\"\n",
    );
    let log = json_log(&traffic(3, 3_000));
    let suggested = TestFile::new("suggested.toml", "");
    replay_json(&["--policies", file.path(), "--suggest", suggested.path()], &log);
    let output = command(&["check", suggested.path()]).output().unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        suggested.read()
    );
    let result = replay_json(&["--policies", suggested.path()], &log);
    assert_eq!(result["policies"].as_array().unwrap().len(), 3);
    assert_eq!(numbers(&result, ["denied"]), [0], "{}", suggested.read());
}

#[test]
fn highest_use_includes_the_room_that_uncounted_requests_need() {
    let log = json_log(&traffic(4, 3_000));
    fn arguments(rate: &str) -> [&str; 8] {
        ["--rate", rate, "--key", "ip", "--count", "status:401", "--cost", "2"]
    }
    let result = replay_json(&arguments("2/10s"), &log);
    let limit = result["limits_that_hurt"][0]["limits"][0]["limit"].as_u64().unwrap();
    for (limit, is_denied) in [(limit, false), (limit - 1, true)] {
        let rate = format!("{limit}/10s");
        let result = replay_json(&arguments(&rate), &log);
        assert_eq!(numbers(&result, ["denied"])[0] > 0, is_denied, "{limit}");
        let [above] = numbers(&result["quotas"][0], ["keys_above_limit"]);
        assert_eq!(numbers(&result, ["keys_denied"]), [above]);
    }
}

#[test]
fn texts_of_clients_are_data_in_every_report() {
    const USER: &str = "<script>alert(1)</script>&\u{202e}\\u001b[31m";
    let log = json_log(&vec![Request { user: USER, ..Request::at(0, "192.0.2.1") }; 3]);
    let page = TestFile::new("report.html", "");
    let output = replay(&["--rate", "1/minute", "--key", "user", "--html", page.path()], &log);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
    assert!(text.contains("<script>alert(1)</script>&\\u{202e}\\u{1b}[31m"), "{text}");

    let page = page.read();
    assert!(
        page.contains("<bdi>&lt;script&gt;alert(1)&lt;/script&gt;&amp;\\u{202e}\\u{1b}[31m</bdi>")
    );
    assert!(
        !page.contains("<script")
            && !page.contains("src=")
            && !page.contains("http://")
            && !page.contains("https://")
    );
    assert!(page.contains("default-src 'none'") && page.matches("<svg").count() == 2);
    let json = replay_json(&["--rate", "1/minute", "--key", "user"], &log);
    assert_eq!(json["top_denied"][0]["key"], "<script>alert(1)</script>&\u{202e}\u{1b}[31m");
}

#[test]
fn closed_output_is_no_error() {
    let mut child = command(&["replay", "--rate", "1/minute", "--key", "ip"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(json_log(&traffic(1, 100)).as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
