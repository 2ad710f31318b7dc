//! Tests of `top` and `permits`, with the JSON of `GET statistics`.

use actix_rateguard::{Policy, RateGuard, Statistics};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use crate::support::{Redis, Server, eventually, run};

pub(crate) fn statistics() -> Value {
    json!({
        "version": 1,
        "scope": "fleet",
        "store_error": null,
        "now_unix_seconds": 1_790_000_000.25,
        "interval_seconds": 20,
        "first_interval": 89_499_821,
        "current_interval": 89_500_000,
        "has_readable_keys": false,
        "omitted_policies": 0,
        "processes": [{
            "id": "9f3c2a11d0e4b765", "name": "web-1", "is_this": true, "uptime_seconds": 3_600.0, "report_age_seconds": 0.4,
            "store": {
                "kind": "redis", "is_good": false, "cause": "timeout", "cause_text": "no reply within the deadline",
                "down_for_seconds": 3.0, "is_breaker_open": true, "calls_per_second": 812.0, "p50_seconds": 0.0004, "p99_seconds": 0.0011
            },
            "fallback": "local", "unanswered": { "open": 0, "closed": 0, "local": 7 },
            "checks_in_flight": 3, "permits_held": 2, "permits_waiting": 0, "requests_waiting": 0, "cached_denials": 7, "leased_units": 0
        }],
        "policies": [
            { "name": "search", "allowed_per_second": 12.2, "denied_per_second": 0.0, "waiting": 0, "totals": { "allowed": 40_000 } },
            { "name": "login", "allowed_per_second": 1.0, "denied_per_second": 0.4, "waiting": 0,
              "totals": { "allowed": 4_000, "denied": 312, "banned": 3, "rejected": 0, "undecided_passed": 0, "waited": 9, "would_deny": 17 } }
        ],
        "denied_keys": [
            { "policy": "login", "key_digest": "0123456789abcdef0123456789abcdef", "key": null, "denials": 523, "max_overcount": 3 }
        ],
        "denied_keys_since_seconds": 431.0
    })
}

fn server() -> Server {
    Server::start_with(|config| {
        config.route(
            "/operator/statistics",
            web::get().to(|_: HttpRequest| async { HttpResponse::Ok().json(statistics()) }),
        );
    })
}

#[test]
fn view_shows_denials_first_and_keys_and_stores() {
    let server = server();
    let text = server.run(&["top"]).success();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "1 process");
    assert!(lines[3].starts_with("login ") && lines[4].starts_with("search "), "{text}");
    for part in [
        "digest=0123456789abcdef0123456789abcdef",
        "Most denied keys in the last 7m 11s",
        "no reply within the deadline; decides: local",
        "web-1",
        "0.40 ms",
    ] {
        assert!(text.contains(part), "expected {part}, found {text}");
    }
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn json_is_the_response_of_the_server() {
    let server = server();
    assert_eq!(server.run(&["top", "--once", "--json"]).json(), statistics());
}

#[test]
fn permits_are_those_of_each_process() {
    let server = server();
    let json = server.run(&["permits", "--json"]).json();
    assert_eq!(json["processes"][0]["permits_held"], 2);
    let text = server.run(&["permits"]).success();
    assert!(text.starts_with("PROCESS"), "{text}");
}

/// The program reads the statistics of the servers from Redis, too. A digest from them selects the key.
#[test]
fn server_and_redis_show_the_same_counts() {
    let redis = Redis::start();
    let guard = RateGuard::redis(redis.url()).prefix("top").key_secret("a secret of sixteen bytes");
    let policy = Policy::new("tool-top", "1/hour").unwrap();
    let settings = Statistics::new().process_name("web-1");
    let guard = guard.statistics(settings).policy(policy.clone()).for_attributes(false);
    let guard = guard.build().unwrap();
    let server = Server::start(&guard, |_| {});
    let key = actix_rateguard::key::user().key_of("42").unwrap();
    for _ in 0..3 {
        actix_web::rt::System::new().block_on(guard.check(&policy, &key)).unwrap();
    }
    let in_redis = ["top", "--once", "--json", "--redis", &redis.url(), "--prefix", "top"];
    for by_server in [true, false] {
        let json = eventually("the checks are in the statistics", || {
            let finished =
                if by_server { server.run(&["top", "--once", "--json"]) } else { run(&in_redis) };
            let json = finished.json();
            let has_key = json["denied_keys"][0]["denials"] == 2;
            let has_counts = json["policies"][0]["totals"]["denied"] == 2;
            (has_key && has_counts).then_some(json)
        });
        assert_eq!((&json["version"], &json["scope"]), (&1.into(), &"fleet".into()));
        assert_eq!(json["policies"][0]["totals"]["allowed"], 1, "{json}");
        // The program itself is not a process of the fleet.
        assert_eq!(json["processes"].as_array().unwrap().len(), 1, "{json}");
        assert_eq!(json["processes"][0]["name"], "web-1");
        let digest = format!("digest={}", json["denied_keys"][0]["key_digest"].as_str().unwrap());
        let peek = ["peek", "tool-top", &digest, "--exit-code"];
        let in_redis = ["--redis", &redis.url(), "--prefix", "top", "--rate", "1/hour"];
        let finished =
            if by_server { server.run(&peek) } else { run(&[&peek[..], &in_redis].concat()) };
        assert_eq!(finished.code, 1, "{finished:?}");
    }
    let permits = server.run(&["permits"]).success();
    assert!(permits.contains("web-1"), "{permits}");
}

#[test]
fn guard_without_statistics_is_a_problem() {
    let server = Server::start(&RateGuard::in_memory(), |_| {});
    let finished = server.run(&["top", "--once"]);
    assert_eq!(finished.code, 1, "{finished:?}");
    assert!(finished.stderr.contains("add `.statistics(Statistics::new())`"), "{finished:?}");
}

#[test]
fn permits_of_a_key_are_counted_in_redis() {
    let redis = Redis::start();
    let guard =
        RateGuard::redis(redis.url()).prefix("permits").for_attributes(false).build().unwrap();
    let policy = Policy::new("exports", "3 concurrent").unwrap();
    let key = actix_rateguard::key::user().key_of("42").unwrap();
    let system = actix_web::rt::System::new();
    let _permit = system.block_on(guard.acquire(&policy, &key)).unwrap();
    let target = ["--redis", &redis.url(), "--prefix", "permits"];
    let permits =
        |rate| run(&[&["permits", "exports", "user=42", "--rate", rate][..], &target].concat());
    assert_eq!(
        permits("3 concurrent").success(),
        "exports user=42: 1 of 3 permits are held, 2 are free\n"
    );
    assert_eq!(permits("3/minute").code, 1);
}
