//! The program, the operator endpoints and the limits of a server select the same bucket for a key.

use actix_rateguard::{ClientAddress, Key, Limit, Policy, RateGuard, RateLimit, key};
use actix_web::{rt::System, web};
use serde_json::Value;

use crate::support::{Finished, Redis, Server, run};

/// The arguments for a key, and the secret of the program.
const KEYS: &[&[&str]] = &[
    &["ip=192.0.2.7"],
    &["ip=2001:db8:1:2:3::7"],
    &["ip/56=2001:db8:1:2:3::7"],
    &["user=42"],
    &["identity=42"],
    &["session:uid=a\"b"],
    &["bearer=t0ken"],
    &["global"],
    &["header:X-Api-Key=k"],
    &["cookie:sid=c"],
    &["path:id=7"],
    &["json:/user/name=ann"],
    &["form:email=ann@shop.example"],
    &["route=/orders/{id}"],
    &["method=post"],
    &["user=42", "ip=2001:db8:1:2:3::7"],
    &["path:id=7", "header:X-Plan=pro", "ip/48=2001:db8:1:2:3::7"],
    &["no_key=2001:db8:1:2:3::7"],
    &["key=ann"],
    &["number=7"],
    &["number=-7"],
    &["key=ann", "number=7"],
    &["address=2001:db8:1:2:3::7"],
    &["part=ann", "part=7"],
];

/// The endpoints reject a key whose Cargo feature is disabled, and the features of this test lack these two.
fn needs_feature(key: &[&str]) -> bool {
    key[0].starts_with("identity") || key[0].starts_with("session")
}

#[test]
fn server_and_redis_select_the_same_bucket_for_every_kind_of_key() {
    let redis = Redis::start();
    for secret in [None, Some("a secret of sixteen bytes")] {
        let prefix = if secret.is_some() { "sealed" } else { "plain" };
        let guard = RateGuard::redis(redis.url()).prefix(prefix).overrides(true);
        let guard =
            guard.policy(Policy::new("tool-bucket", "5/minute").unwrap()).for_attributes(false);
        let guard = match secret {
            Some(secret) => guard.key_secret(secret).build().unwrap(),
            None => guard.build().unwrap(),
        };
        let server = Server::start(&guard, |_| {});
        let redis_url = redis.url();
        let in_redis = |arguments: &[&str]| -> Finished {
            let target = ["--redis", &redis_url, "--prefix", prefix, "--rate", "5/minute"];
            let mut command = crate::support::command(&[arguments, &target].concat());
            command.envs(secret.map(|secret| ("RATEGUARD_KEY_SECRET", secret)));
            command.output().unwrap().into()
        };
        for key in KEYS.iter().filter(|key| !needs_feature(key)) {
            let set = |quotas: &'static str| {
                let end = ["--quotas", quotas, "--for", "1h", "--yes"];
                [&["override", "set", "tool-bucket"][..], key, &end].concat()
            };
            let list = || -> Value {
                in_redis(&["override", "list", "--json"]).json()["overrides"].clone()
            };
            server.run(&set("7/minute")).success();
            in_redis(&set("8/minute")).success();
            let overrides = list();
            // If the two keys were different, there would be two overrides.
            assert_eq!(overrides.as_array().unwrap().len(), 1, "{key:?} {overrides}");
            assert_eq!(overrides[0]["quotas"][0]["limit"], 8);
            let digest = format!("digest={}", overrides[0]["key_digest"].as_str().unwrap());
            let remove = ["override", "remove", "tool-bucket", &digest, "--yes"];
            if secret.is_some() { server.run(&remove) } else { in_redis(&remove) }.success();
            assert_eq!(list().as_array().unwrap().len(), 0, "{key:?}");
        }
    }
}

/// Requests of an application count in the bucket that the program shows.
#[test]
fn requests_count_in_the_bucket_that_the_program_shows() {
    let redis = Redis::start();
    let guard = RateGuard::redis(redis.url())
        .prefix("requests")
        .client_address(ClientAddress::behind(["127.0.0.1"]).unwrap())
        .for_attributes(false)
        .build()
        .unwrap();
    let of_guard = guard.clone();
    let server = Server::start(&guard, move |config| {
        let limits = RateLimit::new(&of_guard, Limit::new("5/minute").key("ip").name("tool-ip"))
            .and(Limit::new("5/minute").key("header:X-Plan+ip/56").name("tool-composed"))
            .and(Limit::new("5/minute").key("bearer").name("tool-bearer"))
            .and(Limit::new("5/minute").key(key::route().and(key::method())).name("tool-route"));
        config
            .service(web::scope("/orders").wrap(limits).route("/{id}", web::to(|| async { "ok" })));
    });
    let url = format!("http://127.0.0.1:{}/orders/7", server.port());
    let agent = ureq::Agent::new_with_defaults();
    let request = agent.get(&url).header("X-Forwarded-For", "2001:db8:1:2:3::7");
    assert_eq!(request.header("X-Plan", "pro").call().unwrap().status(), 200);
    for (policy, key) in [
        ("tool-ip", &["ip=2001:db8:1:2:ffff::1"][..]),
        ("tool-composed", &["ip/56=2001:db8:1:ff::1", "header:x-plan=pro"]),
        ("tool-bearer", &["no_key=2001:db8:1:2::1"]),
        ("tool-route", &["method=GET", "route=/orders/{id}"]),
    ] {
        let by_server = server.run(&[&["peek", policy][..], key, &["--json"]].concat()).json();
        assert_eq!(by_server["statuses"][0]["remaining"], 4, "{policy} {by_server}");
    }
    // Without a policies file, the order of the parts is that of the limit.
    for (policy, key) in [
        ("tool-ip", &["ip=2001:db8:1:2:ffff::1"][..]),
        ("tool-composed", &["header:x-plan=pro", "ip/56=2001:db8:1:ff::1"]),
        ("tool-bearer", &["no_key=2001:db8:1:2::1"]),
        ("tool-route", &["route=/orders/{id}", "method=GET"]),
    ] {
        let target =
            ["--redis", &redis.url(), "--prefix", "requests", "--rate", "5/minute", "--json"];
        let in_redis = run(&[&["peek", policy][..], key, &target].concat()).json();
        assert_eq!(in_redis["statuses"][0]["remaining"], 4, "{policy} {in_redis}");
    }
}

/// The policies file has the length of an IPv6 network, and the order of the parts of a key.
#[test]
fn policies_file_determines_network_and_order() {
    let redis = Redis::start();
    let file = redis.file(
        "rateguard.toml",
        "[guard.client_address]\nipv6_prefix = 56\n[policies.tool-file]\nrate = \"5/minute\"\nkey = \"user+ip\"\n",
    );
    let guard = RateGuard::redis(redis.url()).prefix("file").for_attributes(false).build().unwrap();
    let policy = Policy::new("tool-file", "5/minute").unwrap();
    let network = key::ip_network(56).key_of("2001:db8:1:2::").unwrap();
    let key = Key::from((key::user().key_of("42").unwrap(), network));
    System::new().block_on(guard.check(&policy, &key)).unwrap();
    let target = ["--redis", &redis.url(), "--prefix", "file", "--policies", &file, "--json"];
    let peek = ["peek", "tool-file", "ip=2001:db8:1:ff::9", "user=42"];
    let json = run(&[&peek[..], &target].concat()).json();
    assert_eq!(json["statuses"][0]["remaining"], 4, "{json}");
}
