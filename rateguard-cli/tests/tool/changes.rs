//! Tests of `reset`, `ban`, `unban` and `override`, through a server and in Redis.

use actix_rateguard::{Key, Policy, RateGuard};
use actix_web::rt::System;

use crate::support::{Finished, Redis, Server, run};

const FILE: &str =
    "[policies.tool-login]\nrate = \"2/minute\"\nkey = \"user\"\nban = \"100/minute for 1m\"\n";

/// A guard on Redis, a server with its operator endpoints, and the file with its policy.
struct Service {
    redis: Redis,
    guard: RateGuard,
    server: Server,
    file: String,
}

impl Service {
    fn start() -> Self {
        let redis = Redis::start();
        let file = redis.file("rateguard.toml", FILE);
        let guard =
            RateGuard::redis(redis.url()).prefix("changes").policies_file(&file).overrides(true);
        let guard = guard.for_attributes(false).build().unwrap();
        let server = Server::start(&guard, |_| {});
        Self { redis, guard, server, file }
    }

    /// Runs the program with the server as its target, or with Redis.
    fn run(&self, by_server: bool, arguments: &[&str]) -> Finished {
        if by_server {
            return self.server.run(arguments);
        }
        let target =
            ["--redis", &self.redis.url(), "--prefix", "changes", "--policies", &self.file];
        run(&[arguments, &target].concat())
    }

    fn key(&self) -> (Policy, Key) {
        let policy = self.guard.policy("tool-login").unwrap();
        (policy, actix_rateguard::key::user().key_of("ann").unwrap())
    }

    fn remaining(&self) -> u32 {
        let (policy, key) = self.key();
        System::new().block_on(self.guard.peek(&policy, &key)).unwrap().remaining()
    }

    fn take(&self) {
        let (policy, key) = self.key();
        System::new().block_on(self.guard.check(&policy, &key)).unwrap();
    }
}

/// The names of key types differ: `by` names that of the policy, because no limit of the program uses it.
const KEY: &str = "user=ann";

#[test]
fn change_without_consent_is_refused() {
    let service = Service::start();
    service.take();
    for by_server in [true, false] {
        let refused = service.run(by_server, &["reset", "tool-login", KEY]);
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(
            refused.stderr.contains("expected `--yes`, because the input is not a terminal"),
            "{refused:?}"
        );
        let dry = service.run(by_server, &["reset", "tool-login", KEY, "--dry-run"]).success();
        assert_eq!(
            dry,
            "would delete the counts of user=ann under `tool-login`, and end its ban\n"
        );
    }
    assert_eq!(service.remaining(), 1);
}

#[test]
fn reset_deletes_the_counts() {
    let service = Service::start();
    for by_server in [true, false] {
        service.take();
        assert_eq!(service.remaining(), 1);
        let text = service.run(by_server, &["reset", "tool-login", KEY, "--yes"]).success();
        assert_eq!(text, "deleted the counts of user=ann under `tool-login`\n");
        assert_eq!(service.remaining(), 2);
    }
}

#[test]
fn ban_lasts_until_its_end_or_until_an_unban() {
    let service = Service::start();
    for by_server in [true, false] {
        let text =
            service.run(by_server, &["ban", "tool-login", KEY, "--for", "10m", "--yes"]).success();
        assert!(text.starts_with("user=ann is banned under `tool-login` for "), "{text}");
        let peek = service.run(!by_server, &["peek", "tool-login", KEY, "--json"]).json();
        assert_eq!(peek["passes"], false);
        assert!(peek["banned_for_seconds"].as_f64().unwrap() > 500.0, "{peek}");
        let json = service.run(by_server, &["unban", "tool-login", KEY, "--yes", "--json"]).json();
        assert_eq!((&json["version"], &json["key_text"]), (&1.into(), &KEY.into()));
        let peek = service.run(!by_server, &["peek", "tool-login", KEY, "--json"]).json();
        assert_eq!(
            (&peek["passes"], &peek["banned_for_seconds"]),
            (&true.into(), &serde_json::Value::Null)
        );
    }
}

#[test]
fn override_is_set_listed_and_removed() {
    let service = Service::start();
    for by_server in [true, false] {
        let set = [
            "override",
            "set",
            "tool-login",
            KEY,
            "--quotas",
            "50/minute",
            "--for",
            "1h",
            "--description",
            "a \u{202e}trial",
            "--yes",
        ];
        let text = service.run(by_server, &set).success();
        assert_eq!(text, "user=ann has the quotas 50/minute under `tool-login` for 1h\n");
        // The server applies the change within 250 ms, and the program reads the list from Redis at once.
        let peek = service.run(false, &["peek", "tool-login", KEY]).success();
        assert!(
            peek.contains("an override replaces the quotas") && peek.contains("50/minute"),
            "{peek}"
        );
        let list = service.run(false, &["override", "list"]).success();
        let row = list.lines().nth(1).unwrap();
        assert!(
            row.starts_with("tool-login")
                && row.contains("50/minute")
                && row.contains("a \\u{202e}trial"),
            "{list}"
        );
        let text =
            service.run(by_server, &["override", "remove", "tool-login", KEY, "--yes"]).success();
        assert_eq!(text, "removed the override of user=ann under `tool-login`\n");
        assert_eq!(
            service.run(false, &["override", "list"]).success(),
            "no overrides are in effect\n"
        );
    }
}

#[test]
fn ban_without_a_ban_setting_is_a_problem() {
    let redis = Redis::start();
    let target = ["--redis", &redis.url(), "--prefix", "bans", "--rate", "5/minute"];
    let ban = ["ban", "login", "ip=192.0.2.7", "--for", "10m", "--yes"];
    let finished = run(&[&ban[..], &target].concat());
    assert_eq!(finished.code, 1, "{finished:?}");
    assert!(finished.stderr.contains("expected a policy with a ban"), "{finished:?}");
    let with_setting = [&ban[..], &target, &["--ban-setting", "100/minute for 1m"]].concat();
    assert_eq!(run(&with_setting).code, 0);
    for length in ["0s", "91d", "soon"] {
        assert_eq!(run(&["ban", "login", "ip=192.0.2.7", "--for", length]).code, 2, "{length}");
    }
}
