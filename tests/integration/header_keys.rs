//! Tests keys that are made from header values, with all bytes and lengths that the application server accepts.

use std::{
    collections::HashSet,
    fmt::Debug,
    io::Write,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use actix_rateguard::{Limit, RateGuard, RateLimit, key, rate_limit};
use actix_web::{
    HttpRequest, get,
    web::{self, ServiceConfig},
};

use crate::support::{
    redis_server::RedisServer,
    server::Server,
    wire::{self, WireResponse},
};

/// The maximum number of bytes that actix-web accepts for the head of an HTTP request.
const MAX_HEAD_BYTES: usize = 128 << 10;

#[get("/attribute")]
#[rate_limit(rate = "1/day", key = "header:X-Api-Key", name = "strange::keys")]
async fn attribute() -> &'static str {
    "ok"
}

#[get("/closure")]
#[rate_limit(rate = "1/day", key = |req: &HttpRequest| Some(req.headers().get("X-Api-Key")?.as_bytes().to_vec()), name = "closed:keys")]
async fn closure() -> &'static str {
    "ok"
}

#[get("/address")]
#[rate_limit(rate = "9999/day")]
async fn address() -> &'static str {
    "ok"
}

/// The tested paths, each with the length of the Redis keys that its limit creates.
const PATHS: [(&str, usize); 3] = [
    ("/attribute", "hostile:{}:strange::keys".len() + 32),
    ("/middleware", "hostile:{}:middle".len() + 32),
    ("/closure", "hostile:{}:closed:keys".len() + 32),
];

fn serve(guard: &RateGuard) -> impl Fn(&mut ServiceConfig) + Clone + Send + use<> {
    let guard = guard.clone();
    move |app| {
        let limit = RateLimit::new(
            &guard,
            Limit::new("1/day").name("middle").key(key::header("X-Api-Key")),
        );
        let resource = web::resource("/middleware").wrap(limit).to(async || "ok");
        app.app_data(guard.clone()).service((attribute, closure, address)).service(resource);
    }
}

fn head(path: &str, value: &[u8]) -> Vec<u8> {
    let start = format!("GET {path} HTTP/1.1\r\nHost: test\r\nX-Api-Key: ");
    [start.as_bytes(), value, b"\r\n\r\n"].concat()
}

/// Returns unusual header values that the application server accepts.
fn unusual_values() -> Vec<Vec<u8>> {
    let all: Vec<u8> = (0x80..=0xff).collect();
    let max_value_bytes = MAX_HEAD_BYTES - head("/attribute", b"").len();
    let longest = |byte: u8, less: usize| vec![byte; max_value_bytes - less];
    let mut values = vec![
        // These values have almost the maximum length. Some of them differ only in the last byte or in the length.
        longest(b'x', 200),
        [longest(b'x', 201), b"y".to_vec()].concat(),
        longest(b'x', 1_000),
        longest(0xff, 200),
        longest(b'{', 200),
        longest(b'%', 200),
        longest(b':', 65_536),
        b"\xc3\x28 is no text".to_vec(),
        b"\xed\xa0\x80".to_vec(),
        b"\xf0\x9f\xa6\x80".to_vec(),
        "na\u{ef}ve".into(),
        b"na\xefve".to_vec(),
        b"{tag}".to_vec(),
        b"}{".to_vec(),
        b"*".to_vec(),
        b"[a-z]?\\".to_vec(),
        b"a\tb".to_vec(),
        b"%0d%0aSET x y".to_vec(),
        b"127.0.0.1".to_vec(),
        b"hostile:{0}:middle".to_vec(),
        all.clone(),
        all.iter().rev().copied().collect(),
    ];
    values.extend(all.into_iter().map(|byte| vec![byte]));
    values
}

/// Returns a short description of a value: its length and its last 20 bytes. Some values are too long to print.
fn summary(value: &[u8]) -> impl Debug + use<> {
    let end = value[value.len().saturating_sub(20)..].escape_ascii().to_string();
    (value.len(), end)
}

#[test]
fn any_header_value_becomes_one_short_key() {
    let redis = RedisServer::start();
    let server = Server::start(serve(&redis.guard("hostile")));
    let values = unusual_values();
    assert_eq!(values.iter().collect::<HashSet<_>>().len(), values.len());
    for (path, _) in PATHS {
        // All values are sent on one connection, so the same worker handles all of them.
        let mut stream = wire::connect(server.address());
        for value in &values {
            for expected in [200, 429] {
                stream.write_all(&head(path, value)).unwrap();
                let response = wire::read_response(&mut stream);
                assert_eq!(response, WireResponse::Status(expected), "{path} {:?}", summary(value));
            }
        }
    }
    let names: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut redis.client()).unwrap();
    for (path, length) in PATHS {
        let of_path = names.iter().filter(|name| name.len() == length).count();
        assert_eq!(of_path, values.len(), "{path}");
    }
    assert_eq!(names.len(), values.len() * PATHS.len());
    assert!(names.iter().all(|name| name.is_ascii() && name.matches('{').count() == 1));
}

#[test]
fn oversized_or_malformed_headers_are_rejected_without_crash() {
    let redis = RedisServer::start();
    let guard = redis.guard("hostile");
    static WORKERS: AtomicUsize = AtomicUsize::new(0);
    let serve = serve(&guard);
    let server = Server::start(move |app| {
        WORKERS.fetch_add(1, SeqCst);
        serve(app);
    });
    let send = |path: &str, value: &[u8]| wire::send(server.address(), &head(path, value));
    let invalid_values = [
        vec![b'x'; MAX_HEAD_BYTES],
        vec![0xff; MAX_HEAD_BYTES],
        vec![b'x'; 4 * MAX_HEAD_BYTES],
        b"a\0b".to_vec(),
        b"\x01".to_vec(),
        b"\x7f".to_vec(),
        b"a\rb".to_vec(),
        b"a\r\n b".to_vec(),
        b"a\r\nX-Api-Key\0: b".to_vec(),
        b"a\r\n".repeat(3),
        b"a\r\nx: y".repeat(200),
    ];
    for (path, _) in PATHS {
        for value in &invalid_values {
            let response = send(path, value);
            let is_rejected = match response {
                WireResponse::Status(status) => (400..500).contains(&status),
                // If the head is too long, the server may close the connection before it has read all of it.
                WireResponse::Closed => value.len() >= MAX_HEAD_BYTES,
            };
            assert!(is_rejected, "{path} {:?}: {response:?}", summary(value));
        }
        // If the header is empty, the limits with `header:` and `key::header` use the client's address as the key.
        // The closure uses the empty value as the key.
        for (value, expected) in [("", 200), (" \t ", 429), ("", 429), ("other", 200)] {
            assert_eq!(
                send(path, value.as_bytes()),
                WireResponse::Status(expected),
                "{path} {value:?}"
            );
        }
    }
    // The two workers still respond, and actix-web did not have to replace a worker that crashed.
    for _ in 0..20 {
        assert_eq!(send("/address", b"x"), WireResponse::Status(200));
    }
    assert_eq!(WORKERS.load(SeqCst), 2);
}
