//! Logs in each format, compressed, damaged and hostile.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::Value;

use crate::support::{Request, TestFile, json_log, numbers, replay, replay_json, traffic};

const RATE: [&str; 4] = ["--rate", "5/minute", "--key", "ip"];

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &str) -> Vec<u8> {
    compress_to_vec(text.as_bytes(), CompressionLevel::Fastest)
}

fn log(requests: &[Request], line: impl Fn(&Request) -> String) -> String {
    requests.iter().map(|it| line(it) + "\n").collect()
}

/// Removes what depends on the format and on the speed of the machine.
fn comparable(mut result: Value) -> Value {
    for name in ["formats", "seconds", "lines_per_second"] {
        result.as_object_mut().unwrap().remove(name);
    }
    result
}

fn requests() -> Vec<Request> {
    let mut requests = traffic(4, 500);
    // The common format has whole seconds.
    requests.iter_mut().for_each(|it| it.millis -= it.millis % 1_000);
    requests
}

#[test]
fn every_format_gives_the_same_result() {
    let requests = requests();
    let expected = replay_json(&RATE, json_log(&requests));
    assert!(numbers(&expected, ["denied"])[0] > 50);
    let nginx = |it: &Request| {
        let Request { millis, ip, user, method, path, status } = it;
        let seconds = crate::support::START + millis / 1_000;
        format!(
            r#"{{"msec":"{seconds}.000","remote_addr":"{ip}","remote_user":"{user}","request":"{method} {path} HTTP/1.1","status":"{status}","request_time":"0.125"}}"#
        )
    };
    let combined = |it: &Request| it.common_line() + " \"-\" \"Mozilla/5.0 (\\\"x\\\")\"";
    let traefik = |it: &Request| combined(it) + " 7 \"router@file\" \"http://10.0.0.1\" 12ms";
    for (format, text) in [
        ("common", log(&requests, Request::common_line)),
        ("combined", log(&requests, combined)),
        ("combined", log(&requests, |it| combined(it) + " \"10.0.0.1\" 0.002")),
        ("vhost-combined", log(&requests, |it| "shop.example:443 ".to_owned() + &combined(it))),
        ("traefik", log(&requests, traefik)),
        ("json", log(&requests, nginx)),
    ] {
        for forced in [None, Some(["--format", format])] {
            let arguments = [&RATE[..], forced.as_ref().map_or(&[], |it| &it[..])].concat();
            let result = replay_json(&arguments, &text);
            assert_eq!(result["formats"][0], format);
            assert_eq!(comparable(result), comparable(expected.clone()), "{format}");
        }
    }
}

#[test]
fn compressed_and_rotated_files_are_one_log() {
    let requests = requests();
    let expected = comparable(replay_json(&RATE, json_log(&requests)));
    let (first, second) = requests.split_at(200);
    let texts = [json_log(first), json_log(second)];
    let concatenated = |compress: fn(&str) -> Vec<u8>| {
        texts.iter().flat_map(|it| compress(it)).collect::<Vec<u8>>()
    };
    for bytes in [concatenated(gzip), concatenated(zstd)] {
        assert_eq!(comparable(replay_json(&RATE, &bytes)), expected);
        let file = TestFile::new("log", &bytes);
        let result = replay_json(&[&RATE[..], &[file.path()]].concat(), "");
        assert_eq!(comparable(result), expected);
    }
    let files = [TestFile::new("1.gz", gzip(&texts[0])), TestFile::new("2", &texts[1])];
    let [one, two] = files.each_ref().map(TestFile::path);
    assert_eq!(comparable(replay_json(&[&RATE[..], &[one, two]].concat(), "")), expected);
    assert_eq!(comparable(replay_json(&[&RATE[..], &[one, "-"]].concat(), &texts[1])), expected);
}

#[test]
fn damaged_compressed_file_is_replayed_until_the_damage() {
    let mut bytes = gzip(&json_log(&traffic(4, 20_000)));
    bytes.truncate(bytes.len() / 2);
    let result = replay_json(&RATE, bytes);
    let [requests] = numbers(&result, ["requests"]);
    assert!(requests > 1_000 && requests < 20_000, "{requests}");
    assert!(
        result["warnings"][0].as_str().unwrap().starts_with("failed to read - after line"),
        "{result}"
    );
}

#[test]
fn malformed_lines_are_skipped_and_the_first_are_shown() {
    let line = Request::at(0, "192.0.2.1").common_line();
    let long = format!("{line} {}", "x".repeat(100_000));
    let text = format!(
        "\u{feff}{line}\r\n\r\n{line}\r\nat main.rs:7\u{1b}[31m\r\n{{\"time\":1}}\n{long}\n\n{line}\n{}",
        &line[..40]
    );
    let result = replay_json(&RATE, text);
    assert_eq!(numbers(&result, ["requests", "skipped", "lines"]), [3, 4, 7]);
    let shown: Vec<_> = result["skipped_lines"].as_array().unwrap().iter().collect();
    assert_eq!(shown.iter().map(|it| it["line"].as_u64().unwrap()).collect::<Vec<_>>(), [4, 5, 6]);
    assert_eq!(shown[0]["text"], "at main.rs:7\\u{1b}[31m");
    assert!(shown[2]["reason"].as_str().unwrap().contains("64 KB"));
}

#[test]
fn log_without_requests_is_an_error() {
    for log in ["", "\n\n", "no log\n", "[]\n"] {
        let output = replay(&RATE, log);
        assert_eq!(output.status.code(), Some(1), "{log:?}");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(
            errors.starts_with("error: expected requests in the logs, found none\n help: "),
            "{errors}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..2_000),
        prefix in prop::sample::select(vec![&b""[..], b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18", b"{\"time\":1,\"ip\":"]),
    ) {
        let output = replay(&RATE, [prefix, &bytes].concat());
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        prop_assert!(!errors.contains("panicked"), "{}", errors);
        prop_assert!(matches!(output.status.code(), Some(0 | 1)), "{}", errors);
    }
}
