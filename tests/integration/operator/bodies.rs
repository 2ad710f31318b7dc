//! What operators write, right and wrong.

use actix_web::{App, HttpRequest, get, test::TestRequest, test::init_service};
use rateguard::{Key, Policy, RateGuard, key, rate_limit};
use serde_json::{Value, json};

use super::{endpoints, parsed, post, told};
use crate::support::app::send;

#[get("/op-tenant")]
#[rate_limit(rate = "2/minute", key = "user+path:tenant+ip", name = "op-tenant")]
async fn by_tenant() -> &'static str {
    "ok"
}

#[get("/op-chosen")]
#[rate_limit(quota = |_: &HttpRequest| rateguard::Plan::of("3/minute; 9/hour"), key = "user", name = "op-chosen")]
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

/// The key that is found is the one that counts.
async fn is_key(guard: &RateGuard, policy: &str, body: Value, key: Key) {
    let policy = guard.known_policy(policy).unwrap();
    assert!(guard.check(&policy, &key).await.unwrap().is_allowed());
    assert!(guard.check(&policy, &key).await.unwrap().is_allowed());
    let told = told(&app!(guard), "explain", &body).await;
    assert_eq!((&told["passes"], &told["standings"][0]["remaining"]), (&false.into(), &0.into()));
    guard.reset(&policy, &key).await.unwrap();
    let told = super::told(&app!(guard), "explain", &body).await;
    assert_eq!(told["passes"], true, "{body}");
}

#[actix_web::test]
async fn a_key_is_what_the_limit_would_have_read() {
    let guard = guard();
    let ann = || key::user().key_of("ann").unwrap();
    let address = || key::ip().key_of("2001:db8::7").unwrap();
    for (body, key) in [
        (json!({"policy": "op-plain", "key": "ann"}), Key::from("ann")),
        (json!({"policy": "op-plain", "key": 42}), Key::from(42)),
        (json!({"policy": "op-plain", "key": -42}), Key::from(-42)),
        (json!({"policy": "op-plain", "key": ["a", 7]}), Key::from(("a", "7"))),
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
        is_key(&guard, "op-plain", body, key).await;
    }
}

#[actix_web::test]
async fn the_parts_of_a_key_are_those_that_a_request_has() {
    let guard = RateGuard::in_memory();
    let app = init_service(App::new().app_data(guard.clone()).service(endpoints(&guard)).service(
        actix_web::web::scope("/{tenant}").service(by_tenant).wrap_fn(|request, service| {
            use actix_web::{HttpMessage, dev::Service};
            request.extensions_mut().insert(rateguard::UserId::new("ann"));
            service.call(request)
        }),
    ))
    .await;
    let request =
        || TestRequest::get().uri("/acme/op-tenant").peer_addr("192.0.2.7:1".parse().unwrap());
    let ann = json!({"policy": "op-tenant", "key": ["ann", "acme"], "address": "192.0.2.7"});
    assert_eq!(send(&app, request()).await.status, 200);
    assert_eq!(told(&app, "explain", &ann).await["standings"][0]["remaining"], 1);
    assert_eq!(send(&app, request()).await.status, 200);
    assert_eq!(send(&app, request()).await.status, 429);
    told(&app, "reset", &ann).await;
    assert_eq!(send(&app, request()).await.status, 200);
}

#[actix_web::test]
async fn what_is_wrong_is_said_with_what_is_legal() {
    let guard = RateGuard::builder()
        .policy(Policy::new("op-plain", "2/minute").unwrap())
        .for_attributes(false)
        .build()
        .unwrap();
    let app = app!(guard);
    for (endpoint, body, status, words) in [
        ("explain", json!({"policy": "nobody", "key": "ann"}), 404, "GET inventory"),
        (
            "reset",
            json!({"policy": "op-plain", "who": "ann"}),
            400,
            "`policy`, `key`, `address`, `by`",
        ),
        ("reset", json!({"key": "ann"}), 400, "missing field `policy`"),
        ("reset", json!({"policy": "op-plain"}), 400, "one text in `key`"),
        ("reset", json!({"policy": "op-plain", "key": 1.5}), 400, "text, a whole number"),
        ("reset", json!({"policy": "op-plain", "key": {"a": 1}}), 400, "text, a whole number"),
        (
            "reset",
            json!({"policy": "op-plain", "key": "a", "address": "192.0.2.7"}),
            400,
            "or an `address`",
        ),
        ("reset", json!({"policy": "op-plain", "address": "192.0.2"}), 400, "`address` is an IPv4"),
        ("reset", json!({"policy": "op-plain", "key": "a", "by": "usr"}), 400, "header:NAME"),
        (
            "reset",
            json!({"policy": "op-plain", "key": ["a", "b"], "by": "user"}),
            400,
            "a value for each part",
        ),
        (
            "reset",
            json!({"policy": "op-plain", "key": "a", "by": "user+ip"}),
            400,
            "a value for each part",
        ),
        // How many there have to be, and how many there are.
        ("reset", json!({"policy": "op-plain"}), 400, "there are 0 values in `key`"),
        (
            "reset",
            json!({"policy": "op-plain", "key": ["a", "b", "c", "d", "e"]}),
            400,
            "there are 5 values in `key`",
        ),
        (
            "reset",
            json!({"policy": "op-plain", "key": ["a", "b"], "by": "user"}),
            400,
            "It has 1 part, and there are 2 values in `key`",
        ),
        (
            "reset",
            json!({"policy": "op-plain", "key": "a", "by": "user+ip"}),
            400,
            "It has 2 parts, and there is 1 value in `key`",
        ),
        (
            "reset",
            json!({"policy": "op-plain", "key": ["a", "b"], "address": "192.0.2.7", "by": "user+ip"}),
            400,
            "It has 2 parts, and there are 2 values in `key` and an `address`",
        ),
        (
            "reset",
            json!({"policy": "op-plain", "key": "a", "address": "192.0.2.7", "by": "user"}),
            400,
            "there is 1 value in `key` and an `address`",
        ),
        (
            "reset",
            json!({"policy": "op-plain", "key": "a", "by": "global"}),
            400,
            "a key by `global` has no value",
        ),
        (
            "reset",
            json!({"policy": "op-plain", "key": "192.0.2", "by": "ip/56"}),
            400,
            "`ip/56` is an IPv4 or IPv6 address, and this is none",
        ),
        ("reset", json!(["op-plain", "ann", null, null]), 400, "a JSON object"),
        ("ban", json!({"policy": "op-plain", "key": "ann"}), 400, "`for_seconds`"),
        (
            "ban",
            json!({"policy": "op-plain", "key": "ann", "for_seconds": -1}),
            400,
            "1 second to 90 days",
        ),
        ("ban", json!({"policy": "op-plain", "key": "ann", "for_seconds": 60}), 409, "has no ban"),
        ("unban", json!({"policy": "op-plain", "key": "ann"}), 409, "has no ban"),
        ("explain", json!({}), 400, "either a `request`"),
        (
            "explain",
            json!({"policy": "op-plain", "key": "a", "request": {"path": "/", "peer": "unix"}}),
            400,
            "says by itself",
        ),
        (
            "explain",
            json!({"request": {"path": "/", "peer": "unix"}, "limits": ["nobody"]}),
            404,
            "`limits`",
        ),
        ("explain", json!({"request": {"path": "x", "peer": "unix"}}), 400, "`path` is"),
        ("explain", json!({"request": {"path": "/ x", "peer": "unix"}}), 400, "`path` is"),
        ("explain", json!({"request": {"path": "/", "peer": "nowhere"}}), 400, "`peer` is"),
        ("explain", json!({"request": {"path": "/"}}), 400, "missing field `peer`"),
        (
            "explain",
            json!({"request": {"path": "/", "peer": "unix", "method": "G T"}}),
            400,
            "`method` is",
        ),
        (
            "explain",
            json!({"request": {"path": "/", "peer": "unix", "headers": [["a b", "c"]]}}),
            400,
            "no name of a header",
        ),
        (
            "explain",
            json!({"request": {"path": "/", "peer": "unix", "headers": [["a", "b\nc"]]}}),
            400,
            "no value of a header",
        ),
        (
            "explain",
            json!({"request": {"path": "/", "peer": "unix", "session": "x"}}),
            400,
            "`path_parameters`",
        ),
    ] {
        let answer = post(&app, endpoint, &body).await;
        assert_eq!(answer.status, status, "{endpoint} {body}: {}", answer.body);
        let problem = parsed(&answer);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{endpoint} {body}: {detail}");
    }
}

#[actix_web::test]
async fn limits_of_one_name_with_different_keys_need_a_word_more() {
    let guard = RateGuard::builder()
        .for_attributes(false)
        .policy(Policy::new("op-twice", "2/minute").unwrap())
        .build()
        .unwrap();
    let app = app!(guard);
    let one = rateguard::RateLimit::policy(&guard, "op-twice").by(key::ip());
    let other = rateguard::RateLimit::policy(&guard, "op-twice").by(key::user());
    let _apps =
        (init_service(App::new().wrap(one)).await, init_service(App::new().wrap(other)).await);
    let body = json!({"policy": "op-twice", "key": "ann"});
    let answer = post(&app, "reset", &body).await;
    assert_eq!(answer.status, 400);
    assert!(
        answer.body.contains("ip, user") || answer.body.contains("user, ip"),
        "{}",
        answer.body
    );
    told(&app, "reset", &json!({"policy": "op-twice", "key": "ann", "by": "user"})).await;
}

#[actix_web::test]
async fn of_a_plan_all_quotas_are_reset_and_none_is_explained_by_key() {
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
    let answer = post(&app, "explain", &body).await;
    assert_eq!(answer.status, 409, "{}", answer.body);
    told(&app, "reset", &body).await;
    let standings: Vec<_> = guard
        .peek(&plan, &ann)
        .await
        .unwrap()
        .standings()
        .iter()
        .map(|it| it.remaining())
        .collect();
    assert_eq!(standings, [3, 9]);
}

#[actix_web::test]
async fn bodies_are_bounded_and_of_json_alone() {
    let guard = guard();
    let app = app!(guard);
    let send_as = async |media_type: &'static str, body: Vec<u8>| {
        let request = TestRequest::post().uri("/operator/reset").set_payload(body);
        send(&app, request.insert_header(("Content-Type", media_type))).await.status
    };
    let body = || br#"{"policy": "op-plain", "key": "ann"}"#.to_vec();
    assert_eq!(send_as("application/json; charset=utf-8", body()).await, 200);
    // What a form of another site can send is refused.
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
