//! Tests valid and invalid request bodies for the operator endpoints.

use actix_rateguard::{Key, Limit, Policy, RateGuard, RateLimit, key, rate_limit};
use actix_web::{App, HttpRequest, get, test::TestRequest, test::init_service};
use serde_json::{Value, json};

use super::{endpoints, parse_json, post, post_json};
use crate::support::app::send;

#[get("/op-tenant")]
#[rate_limit(rate = "2/minute", key = "user+path:tenant+ip", name = "op-tenant")]
async fn by_tenant() -> &'static str {
    "ok"
}

#[get("/op-chosen")]
#[rate_limit(plan = |_: &HttpRequest| actix_rateguard::Plan::of("3/minute; 9/hour"), key = "user", name = "op-chosen")]
async fn chosen() -> &'static str {
    "ok"
}

fn guard() -> RateGuard {
    let policy = |name: &'static str| Policy::new(name, "2/minute").unwrap();
    let policies = ["op-twice", "op-plain"].map(policy);
    let builder = RateGuard::builder().for_attributes(false);
    let builder = policies.into_iter().fold(builder, |builder, it| builder.policy(it));
    builder.build().unwrap()
}

macro_rules! app {
    ($guard:expr) => {
        init_service(App::new().service(endpoints(&$guard))).await
    };
}

/// Asserts that the request body `body` selects the bucket of the key `key`.
async fn assert_body_selects(guard: &RateGuard, policy: &str, body: Value, key: Key) {
    let policy = guard.policy_of_limit(policy).unwrap();
    assert!(guard.check(&policy, &key).await.unwrap().is_allowed());
    assert!(guard.check(&policy, &key).await.unwrap().is_allowed());
    let explanation = post_json(&app!(guard), "explain", &body).await;
    assert_eq!(
        (&explanation["passes"], &explanation["statuses"][0]["remaining"]),
        (&false.into(), &0.into())
    );
    guard.reset(&policy, &key).await.unwrap();
    let explanation = post_json(&app!(guard), "explain", &body).await;
    assert_eq!(explanation["passes"], true, "{body}");
}

#[actix_web::test]
async fn key_in_body_selects_the_bucket_of_the_limit() {
    let guard = guard();
    let ann = || key::user().key_of("ann").unwrap();
    let address = || key::ip().key_of("2001:db8::7").unwrap();
    for (body, key) in [
        (json!({"policy": "op-plain", "key": "ann"}), Key::from("ann")),
        (json!({"policy": "op-plain", "key": 42}), Key::from(42)),
        (json!({"policy": "op-plain", "key": -42}), Key::from(-42)),
        (json!({"policy": "op-plain", "key": "42"}), Key::from("42")),
        (json!({"policy": "op-plain", "key": ["a", 7]}), Key::from(("a", 7))),
        (json!({"policy": "op-plain", "key": [7, "7"]}), Key::from((7, "7"))),
        (json!({"policy": "op-plain", "key": 42, "by": "user"}), key::user().key_of("42").unwrap()),
        (
            json!({"policy": "op-plain", "key": ["a", "7"], "by": "parts"}),
            Key::from_parts(["a", "7"]),
        ),
        (
            json!({"policy": "op-plain", "address": "192.0.2.7"}),
            Key::from(std::net::IpAddr::from([192, 0, 2, 7])),
        ),
        (json!({"policy": "op-plain", "by": "global"}), Key::global()),
        (json!({"policy": "op-plain", "by": "user", "key": "ann"}), ann()),
        (
            json!({"policy": "op-plain", "by": "header:X-Key", "key": "ann"}),
            key::header("X-Key").key_of("ann").unwrap(),
        ),
        (json!({"policy": "op-plain", "by": "ip", "address": "2001:db8::1"}), address()),
        (json!({"policy": "op-plain", "by": "ip", "key": "2001:db8::1"}), address()),
    ] {
        assert_body_selects(&guard, "op-plain", body, key).await;
    }
}

#[actix_web::test]
async fn composite_key_in_body_selects_the_bucket_of_requests() {
    let guard = RateGuard::in_memory();
    let app = init_service(App::new().app_data(guard.clone()).service(endpoints(&guard)).service(
        actix_web::web::scope("/{tenant}").service(by_tenant).wrap_fn(|request, service| {
            use actix_web::{HttpMessage, dev::Service};
            request.extensions_mut().insert(actix_rateguard::UserId::new("ann"));
            service.call(request)
        }),
    ))
    .await;
    let request =
        || TestRequest::get().uri("/acme/op-tenant").peer_addr("192.0.2.7:1".parse().unwrap());
    let ann = json!({"policy": "op-tenant", "key": ["ann", "acme"], "address": "192.0.2.7"});
    assert_eq!(send(&app, request()).await.status, 200);
    assert_eq!(post_json(&app, "explain", &ann).await["statuses"][0]["remaining"], 1);
    assert_eq!(send(&app, request()).await.status, 200);
    assert_eq!(send(&app, request()).await.status, 429);
    post_json(&app, "reset", &ann).await;
    assert_eq!(send(&app, request()).await.status, 200);
}

#[actix_web::test]
async fn invalid_body_is_rejected_with_the_accepted_values() {
    let guard = RateGuard::builder()
        .policy(Policy::new("op-plain", "2/minute").unwrap())
        .for_attributes(false)
        .build()
        .unwrap();
    let app = app!(guard);
    for (endpoint, body, status, expected) in [
        ("explain", json!({"policy": "unregistered", "key": "ann"}), 404, "GET inventory"),
        ("explain", json!({"policy": "op-pain", "key": "ann"}), 404, "did you mean `op-plain`?"),
        (
            "reset",
            json!({"policy": "op-plain", "user": "ann"}),
            400,
            "`policy`, `key`, `address`, `by`",
        ),
        ("reset", json!({"key": "ann"}), 400, "missing field `policy`"),
        ("reset", json!({"policy": "op-plain"}), 400, "one value in `key`"),
        ("reset", json!({"policy": "op-plain", "key": 1.5}), 400, "text, a whole number"),
        ("reset", json!({"policy": "op-plain", "key": {"a": 1}}), 400, "text, a whole number"),
        (
            "reset",
            json!({"policy": "op-plain", "key": "a", "address": "192.0.2.7"}),
            400,
            "or an `address`",
        ),
        (
            "reset",
            json!({"policy": "op-plain", "address": "192.0.2"}),
            400,
            "`address`: expected an IPv4",
        ),
        ("reset", json!({"policy": "op-plain", "key": "a", "by": "usr"}), 400, "header:NAME"),
        (
            "reset",
            json!({"policy": "op-plain", "key": ["a", "b"], "by": "user"}),
            400,
            "one value in `key` for each part",
        ),
        (
            "reset",
            json!({"policy": "op-plain", "key": "a", "by": "user+ip"}),
            400,
            "one value in `key` for each part",
        ),
        // The message contains the expected number of values and the actual number.
        ("reset", json!({"policy": "op-plain"}), 400, "found 0 values in `key`"),
        (
            "reset",
            json!({"policy": "op-plain", "key": ["a", "b", "c", "d", "e"]}),
            400,
            "found 5 values in `key`",
        ),
        (
            "reset",
            json!({"policy": "op-plain", "key": ["a", "b"], "by": "user"}),
            400,
            "The notation has 1 part; found 2 values in `key`",
        ),
        (
            "reset",
            json!({"policy": "op-plain", "key": "a", "by": "user+ip"}),
            400,
            "The notation has 2 parts; found 1 value in `key`",
        ),
        (
            "reset",
            json!({"policy": "op-plain", "key": ["a", "b"], "address": "192.0.2.7", "by": "user+ip"}),
            400,
            "The notation has 2 parts; found 2 values in `key` and an `address`",
        ),
        (
            "reset",
            json!({"policy": "op-plain", "key": "a", "address": "192.0.2.7", "by": "user"}),
            400,
            "found 1 value in `key` and an `address`",
        ),
        (
            "reset",
            json!({"policy": "op-plain", "key": "a", "by": "global"}),
            400,
            "`global` takes no value",
        ),
        (
            "reset",
            json!({"policy": "op-plain", "key": "192.0.2", "by": "ip/56"}),
            400,
            "`ip/56` of `ip/56`: expected an IPv4 or IPv6 address",
        ),
        ("reset", json!(["op-plain", "ann", null, null]), 400, "a JSON object"),
        ("ban", json!({"policy": "op-plain", "key": "ann"}), 400, "`for_seconds`"),
        (
            "ban",
            json!({"policy": "op-plain", "key": "ann", "for_seconds": -1}),
            400,
            "1 second to 90 days",
        ),
        (
            "ban",
            json!({"policy": "op-plain", "key": "ann", "for_seconds": 60}),
            409,
            "expected a policy with a ban",
        ),
        ("unban", json!({"policy": "op-plain", "key": "ann"}), 409, "expected a policy with a ban"),
        ("explain", json!({}), 400, "missing field `policy`"),
        ("explain", json!({"policy": "op-plain"}), 400, "one value in `key`"),
        (
            "explain",
            json!({"policy": "op-plain", "key": "a", "request": {"path": "/"}}),
            400,
            "`policy`, `key`, `address`, `by`",
        ),
    ] {
        let response = post(&app, endpoint, &body).await;
        assert_eq!(response.status, status, "{endpoint} {body}: {}", response.body);
        let problem = parse_json(&response);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(expected), "{endpoint} {body}: {detail}");
    }
}

#[actix_web::test]
async fn limits_of_one_name_with_different_keys_require_by() {
    let guard = RateGuard::builder()
        .for_attributes(false)
        .policy(Policy::new("op-twice", "2/minute").unwrap())
        .build()
        .unwrap();
    let app = app!(guard);
    let one = RateLimit::new(&guard, Limit::policy("op-twice").key(key::ip()));
    let other = RateLimit::new(&guard, Limit::policy("op-twice").key(key::user()));
    let _apps =
        (init_service(App::new().wrap(one)).await, init_service(App::new().wrap(other)).await);
    let body = json!({"policy": "op-twice", "key": "ann"});
    let response = post(&app, "reset", &body).await;
    assert_eq!(response.status, 400);
    assert!(
        response.body.contains("ip, user") || response.body.contains("user, ip"),
        "{}",
        response.body
    );
    post_json(&app, "reset", &json!({"policy": "op-twice", "key": "ann", "by": "user"})).await;
}

#[actix_web::test]
async fn plan_limit_resets_all_quotas_and_rejects_explain_by_key() {
    let guard = RateGuard::in_memory();
    let app =
        init_service(App::new().app_data(guard.clone()).service(endpoints(&guard)).service(chosen))
            .await;
    let plan = Policy::new("op-chosen", "3/minute; 9/hour").unwrap();
    let ann = key::user().key_of("ann").unwrap();
    for _ in 0..3 {
        assert!(guard.check(&plan, &ann).await.unwrap().is_allowed());
    }
    let body = json!({"policy": "op-chosen", "key": "ann"});
    let response = post(&app, "explain", &body).await;
    assert_eq!(response.status, 409, "{}", response.body);
    assert!(response.body.contains("RateGuard::explain_request"), "{}", response.body);
    post_json(&app, "reset", &body).await;
    let statuses: Vec<_> =
        guard.peek(&plan, &ann).await.unwrap().statuses().iter().map(|it| it.remaining()).collect();
    assert_eq!(statuses, [3, 9]);
}

#[actix_web::test]
async fn body_must_be_json_of_at_most_64_kib() {
    let guard = guard();
    let app = app!(guard);
    let send_as = async |media_type: &'static str, body: Vec<u8>| {
        let request = TestRequest::post().uri("/operator/reset").set_payload(body);
        send(&app, request.insert_header(("Content-Type", media_type))).await.status
    };
    let body = || br#"{"policy": "op-plain", "key": "ann"}"#.to_vec();
    assert_eq!(send_as("application/json; charset=utf-8", body()).await, 200);
    // A web page of a different site can send requests with these media types. Therefore the endpoints must reject
    // them.
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
        assert_eq!(send_as(media_type, body()).await, 415, "{media_type}");
    }
    let padded = |length: usize| {
        let mut padded = body();
        padded.resize(length, b' ');
        padded
    };
    assert_eq!(send_as("application/json", padded(65_536)).await, 200);
    assert_eq!(send_as("application/json", padded(65_537)).await, 413);
    for nonsense in [&b"{"[..], b"", b"\xff", b"{} {}", &[b'['; 60_000]] {
        assert_eq!(send_as("application/json", nonsense.to_vec()).await, 400);
    }
}
