//! Tests of `rateguard explain`.

use actix_rateguard::{Limit, RateGuard, RateLimit};
use actix_web::web;

use crate::support::{Folder, Server, run};

const FILE: &str = r#"
[guard]
on_error = "closed"
client_address = { behind = ["10.0.0.0/8"] }

[access]
allow_addresses = ["198.51.100.0/24"]
deny_keys = [{ key = "user", value = "eve" }]

[policies.search]
rate = "5/minute"
key = "ip"
candidate = "4/minute"
rollout = 10

[policies.login]
rate = "5/minute; 20/hour"
key = "header:X-Plan+ip/56"
methods = "POST"
missing_key = "deny"
on_error = "local"

[policies.account]
rate = "100/minute"
key = "user"

[policies.order]
rate = "10/minute"
key = "path:id"

[policies.plain]
rate = "10/minute"
"#;

/// Returns whether each policy applies, and by which key it counts the request.
fn explained(request: &str) -> Vec<String> {
    let folder = Folder::new();
    let file = folder.file("rateguard.toml", FILE);
    let json = run(&["explain", &file, request, "--json"]).json();
    let limits = json["limits"].as_array().unwrap().iter();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    limits
        .map(|limit| {
            let detail =
                if limit["applies"] == "yes" { &limit["counted_by"] } else { &limit["reason"] };
            format!("{} {}: {}", text(&limit["name"]), text(&limit["applies"]), text(detail))
        })
        .collect()
}

#[test]
fn each_policy_has_its_key_or_its_reason() {
    assert_eq!(
        explained("GET /search from 2001:db8:1:2::7 via 10.0.0.1 as ann"),
        [
            "account yes: user=ann",
            "login no: only for POST",
            "order unknown: `path:id`: the routes are in the program",
            "plain unknown: the program sets the key",
            "search yes: ip=2001:db8:1:2::/64",
        ]
    );
    let post = explained("POST /login from 192.0.2.7 with X-Plan: pro");
    assert_eq!(post[0], "account yes: no_key=192.0.2.7");
    assert_eq!(post[1], "login yes: header:X-Plan=pro ip/56=192.0.2.7");
    assert_eq!(
        explained("POST /login from 192.0.2.7")[1],
        "login rejects: the request has no `header:X-Plan`"
    );
}

#[test]
fn access_list_decides_before_the_limits() {
    for line in explained("GET /search from 198.51.100.7") {
        assert!(line.ends_with("no: `[access]` allows the address"), "{line}");
    }
    assert_eq!(
        explained("GET / from 192.0.2.7 as eve")[0],
        "account rejects: `[access]` denies the key"
    );
}

#[test]
fn text_names_quotas_candidate_and_failure_mode() {
    let folder = Folder::new();
    let file = folder.file("rateguard.toml", FILE);
    let text = run(&["explain", &file, "GET /search from 192.0.2.7"]).success();
    let row = text.lines().find(|line| line.starts_with("search")).unwrap();
    for part in ["ip=192.0.2.7", "5/minute (candidate 4/minute for 10 %)", "closed"] {
        assert!(row.contains(part), "{row}");
    }
    assert!(
        text.contains("client: 192.0.2.7 (no proxy") || text.contains("client: 192.0.2.7 ("),
        "{text}"
    );
    assert!(text.contains("A policy applies where the program uses its name."), "{text}");
}

#[test]
fn invalid_request_is_a_usage_error() {
    let folder = Folder::new();
    let file = folder.file("rateguard.toml", FILE);
    let finished = run(&["explain", &file, "GET search"]);
    assert_eq!(finished.code, 2);
    assert!(
        finished.stderr.contains("expected a request as METHOD PATH [from ADDRESS]"),
        "{finished:?}"
    );
}

#[test]
fn server_explains_its_limits_with_their_state() {
    let guard = RateGuard::in_memory();
    let of_guard = guard.clone();
    let server = Server::start(&guard, move |config| {
        let limit = Limit::new("1/minute").key("ip").name("tool-explained");
        let other = Limit::new("1/minute").key("header:X-Plan").name("tool-explained-plan");
        let limits = RateLimit::new(&of_guard, limit).and(other);
        config.service(
            web::scope("/search").wrap(limits).default_service(web::to(|| async { "ok" })),
        );
    });
    let url = format!("http://127.0.0.1:{}/search", server.port());
    let agent = ureq::Agent::new_with_defaults();
    assert_eq!(agent.get(&url).header("X-Plan", "pro").call().unwrap().status(), 200);
    let text = server.run(&["explain", "GET /search from 127.0.0.1 with X-Plan: free"]).success();
    let row = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(row("tool-explained ").contains("denied for"), "{text}");
    assert!(row("tool-explained-plan").contains("allowed"), "{text}");
    assert!(row("tool-explained-plan").contains("header:x-plan=free"), "{text}");
}
