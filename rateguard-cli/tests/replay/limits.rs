//! The settings of policies, and policies that a log cannot replay.

use crate::support::{Request, TestFile, json_log, numbers, replay, replay_json, traffic};

fn request(millis: u64, method: &'static str, path: &'static str, user: &'static str) -> Request {
    Request { method, path, user, ..Request::at(millis, "192.0.2.1") }
}

#[test]
fn methods_and_routes_select_requests() {
    let file = TestFile::new(
        "policies.toml",
        "[policies.login]\nrate = \"1/minute\"\nkey = \"ip\"\nmethods = \"POST\"\n\
         [policies.orders]\nrate = \"1/minute\"\nkey = \"user+path:id\"\n",
    );
    let log = json_log(&[
        request(0, "POST", "/login", "-"),
        request(1, "GET", "/login", "-"),
        request(2, "POST", "/login", "-"),
        request(3, "POST", "/other", "-"),
        request(4, "GET", "/orders/7", "ann"),
        request(5, "GET", "/orders/8", "ann"),
        request(6, "GET", "/orders/7", "ann"),
    ]);
    let arguments =
        ["--policies", file.path(), "--policy", "login=/login", "--policy", "orders=/orders/{id}"];
    let result = replay_json(&arguments, &log);
    assert_eq!(numbers(&result, ["requests", "denied", "allowed"]), [7, 2, 5]);
    let policies = result["policies"].as_array().unwrap();
    let names = ["requests", "denied", "not_limited", "keys"];
    assert_eq!(numbers(&policies[0], names), [2, 1, 5, 1]);
    assert_eq!(numbers(&policies[1], names), [3, 1, 4, 2]);

    let result = replay_json(&["--policies", file.path()], &log);
    assert_eq!(result["policies"].as_array().unwrap().len(), 1);
    let reason = result["not_replayed"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("the route has no parameter `id`"), "{reason}");
}

#[test]
fn access_list_of_the_file_applies() {
    let file = TestFile::new(
        "policies.toml",
        "[access]\nallow_addresses = [\"192.0.2.1\"]\ndeny_addresses = [\"192.0.2.2\"]\n\
         deny_keys = [{ key = \"user\", value = \"bob\" }]\n[policies.api]\nrate = \"1/minute\"\nkey = \"user\"\n",
    );
    let of = |ip: &str, user| Request { user, ..Request::at(0, ip) };
    let requests = [
        of("192.0.2.1", "ann"),
        of("192.0.2.2", "ann"),
        of("192.0.2.3", "bob"),
        of("192.0.2.3", "ann"),
        of("192.0.2.4", "ann"),
    ];
    let result = replay_json(&["--policies", file.path()], json_log(&requests));
    assert_eq!(numbers(&result, ["exempt", "forbidden", "allowed", "denied"]), [1, 2, 1, 1]);
}

#[test]
fn missing_key_is_treated_like_in_the_library() {
    let log = json_log(&["-", "-", "ann", "ann"].map(|user| request(0, "GET", "/", user)));
    for (missing, expected) in
        [("ip", [2, 2, 0, 0]), ("deny", [1, 1, 2, 0]), ("skip", [1, 1, 0, 2])]
    {
        let result =
            replay_json(&["--rate", "1/minute", "--key", "user", "--missing-key", missing], &log);
        assert_eq!(
            numbers(&result, ["allowed", "denied", "forbidden", "exempt"]),
            expected,
            "{missing}"
        );
    }
}

#[test]
fn policy_whose_data_is_not_in_the_log_is_not_replayed() {
    let log = json_log(&[Request::at(0, "192.0.2.1")]);
    for (policy, reason) in [
        ("rate = \"1/minute\"\nkey = \"user\"", "no request of the log has the key `user`"),
        (
            "rate = \"1/minute\"\nkey = \"header:X-Api-Key\"",
            "no request of the log has the key `header:X-Api-Key`",
        ),
        (
            "rate = \"1/minute\"\nkey = \"json:/email\"",
            "an access log has no bodies for `json:/email`",
        ),
        ("rate = \"1/minute\"\nkey = \"ip+bearer\"", "the log has no value for `bearer`"),
        ("rate = \"1/minute\"\nkey = \"route\"", "the log has no routes"),
        ("concurrent = 2\nkey = \"ip\"", "a limit on the requests in progress needs durations"),
    ] {
        let file = TestFile::new("policies.toml", format!("[policies.a]\n{policy}\n"));
        let result = replay_json(&["--policies", file.path()], &log);
        let found = result["not_replayed"][0]["reason"].as_str().unwrap();
        assert!(found.starts_with(reason), "{found}");
        assert_eq!(numbers(&result, ["requests", "denied"]), [1, 0]);
    }
    // A field with the value makes the policy replayable.
    let file = TestFile::new(
        "policies.toml",
        "[policies.a]\nrate = \"1/minute\"\nkey = \"json:/email\"\n",
    );
    let line = r#"{"time":1714564800,"ip":"192.0.2.1","mail":"a@example.org"}"#;
    let arguments = ["--policies", file.path(), "--field", "json:/email=mail"];
    let result = replay_json(&arguments, format!("{line}\n{line}\n"));
    assert_eq!(numbers(&result, ["allowed", "denied", "keys"]), [1, 1, 1]);
}

#[test]
fn denials_of_a_policy_that_is_not_replayed_are_not_in_the_totals() {
    let file = TestFile::new(
        "policies.toml",
        "[policies.a]\nrate = \"1/minute\"\nkey = \"user\"\n[policies.b]\nrate = \"3/minute\"\nkey = \"ip\"\n",
    );
    let log = json_log(&vec![Request::at(0, "192.0.2.1"); 4]);
    let result = replay_json(&["--policies", file.path()], &log);
    assert_eq!(result["not_replayed"][0]["policy"], "a");
    assert_eq!(numbers(&result, ["requests", "denied", "allowed"]), [4, 1, 3]);
}

#[test]
fn requests_in_progress_are_limited_by_their_durations() {
    // The time of a line is the end of its request.
    let line = |start: u64, end: u64| {
        let (seconds, duration) = (crate::support::START + end, end - start);
        format!(
            "{{\"msec\":{seconds},\"remote_addr\":\"192.0.2.1\",\"request_time\":{duration}}}\n"
        )
    };
    // In the order of their ends: requests that start at 0, 5, 2, 1, 10 and 11.
    let log: String = [(5, 6), (2, 8), (0, 10), (1, 12), (10, 13), (11, 14)]
        .map(|(start, end)| line(start, end))
        .concat();
    let result = replay_json(&["--rate", "3 concurrent", "--key", "ip"], &log);
    // 0, 1 and 2 hold permits, so 5 is denied. 2 ends at 8 and 0 at 10, so 10 and 11 are admitted.
    assert_eq!(numbers(&result, ["allowed", "denied", "late"]), [5, 1, 0]);
    assert_eq!(result["counted_at"], "start");
    assert_eq!(result["percentiles"][0]["max"], 4);
}

#[test]
fn requests_of_further_keys_are_left_out() {
    let requests: Vec<Request> =
        (0..100).map(|it| Request::at(it * 10, &format!("192.0.2.{}", it % 10))).collect();
    let result =
        replay_json(&["--rate", "5/minute", "--key", "ip", "--max-keys", "4"], json_log(&requests));
    assert_eq!(
        numbers(&result, ["requests", "keys", "left_out", "allowed", "denied"]),
        [100, 4, 60, 20, 20]
    );
}

#[test]
fn candidate_quotas_and_shadow_policies_are_replayed() {
    let file = TestFile::new(
        "policies.toml",
        "[policies.a]\nrate = \"100/minute\"\nkey = \"ip\"\ncandidate = \"1/minute\"\n\
         [policies.b]\nrate = \"2/minute\"\nshadow = true\n",
    );
    let result = replay_json(&["--policies", file.path()], json_log(&traffic(1, 50)));
    let policies = result["policies"].as_array().unwrap();
    let names: Vec<_> = policies.iter().map(|it| it["policy"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "a.candidate", "b"]);
    assert_eq!(numbers(&policies[0], ["denied"]), [0]);
    assert!(numbers(&policies[1], ["denied"]) > numbers(&policies[2], ["denied"]));
    assert!(policies[2]["notes"].to_string().contains("shadow mode"));
}

#[test]
fn invalid_arguments_are_explained() {
    let file = TestFile::new("policies.toml", "[policies.login]\nrate = \"5/minute\"\n");
    let bzip2 = TestFile::new("log.bz2", b"BZh91AY");
    for (arguments, code, message) in [
        (vec![], 2, "<--policies <FILE>|--rate <RATE>>"),
        (vec!["--rate", "5/minut"], 2, "did you mean `minute`?"),
        (vec!["--rate", "5/minute", "--key", "ipp"], 2, "did you mean `ip`?"),
        (vec!["--rate", "5/minute", "--algorithm", "fixed"], 2, "unknown algorithm"),
        (vec!["--rate", "5/minute", "--cost", "6"], 2, "expected a cost of at most 5, found 6"),
        (vec!["--rate", "5/minute", "--field", "x=y"], 2, "expected one of `time`"),
        (vec!["--rate", "5/minute", "--reorder", "5"], 2, "expected a window"),
        (
            vec!["--rate", "5 concurrent", "--count-at", "line"],
            2,
            "a policy limits the requests in progress",
        ),
        (
            vec!["--rate", "5/minute", "/no/such.log"],
            2,
            "failed to open /no/such.log: No such file or directory",
        ),
        (vec!["--policies", file.path(), "--cost", "2"], 2, "cannot be used with"),
        (vec!["--policies", file.path(), "--algorithm", "token_bucket"], 2, "cannot be used with"),
        (vec!["--rate", "5/minute", "--policy", "login"], 2, "cannot be used with"),
        (vec!["--rate", "5/minute", bzip2.path()], 2, "found bzip2; decompress"),
        (vec!["--rate", "5/minute", "/proc/self/mem"], 2, "failed to open /proc/self/mem"),
        (vec!["--rate", "5/minute", "/"], 2, "failed to open /: is a directory"),
        (vec!["--policies", file.path(), "--policy", "logn"], 2, "did you mean `login`?"),
        (vec!["--policies", "/no/such.toml"], 2, "/no/such.toml"),
    ] {
        let output = replay(&arguments, "");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
        assert!(errors.contains(message), "{arguments:?}: {errors}");
    }
    let invalid = TestFile::new("policies.toml", "[policies.login]\nrate = \"5/minut\"\n");
    let output = replay(&["--policies", invalid.path()], "");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn files_with_content_are_not_overwritten() {
    let policies = "[policies.login]\nrate = \"5/minute\"\n";
    let file = TestFile::new("policies.toml", policies);
    let log = TestFile::new("access.log", json_log(&traffic(1, 10)));
    let (before, new) = (log.read(), TestFile::new("new.html", ""));
    for (arguments, message) in [
        (vec!["--html", log.path(), log.path(), "--force"], "found"),
        (vec!["--suggest", file.path(), log.path(), "--force"], "than for `--policies`"),
        (vec!["--html", new.path(), "--suggest", new.path(), log.path()], "than for `--html`"),
        (vec!["--html", log.path()], "`--force` overwrites the file"),
    ] {
        let output = replay(&[&["--policies", file.path()], &arguments[..]].concat(), "");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(message), "{arguments:?}: {errors}");
    }
    assert_eq!((log.read(), file.read()), (before, policies.to_owned()));
    let old = TestFile::new("old.html", "old");
    replay_json(&["--rate", "5/minute", "--html", old.path(), "--force", log.path()], "");
    assert!(old.read().contains("<svg"));
}

#[test]
fn requests_without_a_client_do_not_count_together() {
    let log: String = ["null", "\"-\"", "\"\"", "\"192.0.2.1\""]
        .map(|ip| format!("{{\"time\":1714564800,\"ip\":{ip}}}\n"))
        .concat();
    let result = replay_json(&["--rate", "1/minute", "--key", "ip"], &log);
    assert_eq!(numbers(&result, ["requests", "skipped", "denied"]), [1, 3, 0]);
    let user = r#"{"time":1714564800,"user":"ann"}"#;
    let result = replay_json(&["--rate", "1/minute", "--key", "user"], log + user);
    assert_eq!(numbers(&result, ["requests", "exempt", "allowed", "denied"]), [5, 3, 2, 0]);
}

#[test]
fn denial_that_starts_a_ban_belongs_to_its_quota() {
    let file = TestFile::new(
        "policies.toml",
        "[policies.a]\nrate = \"1/minute\"\nkey = \"ip\"\nban = \"2/hour for 15m\"\n",
    );
    let requests = [0, 1, 2, 3, 4].map(|millis| Request::at(millis, "192.0.2.1"));
    let result = replay_json(&["--policies", file.path()], json_log(&requests));
    assert_eq!(numbers(&result, ["denied", "denied_while_banned"]), [4, 2]);
    assert_eq!(numbers(&result["quotas"][0], ["denied"]), [2]);
}
