//! Header values as keys, as long and as strange as a server takes them.

use std::{
    collections::HashSet,
    fmt::Debug,
    io::Write,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use actix_web::{
    HttpRequest, get,
    web::{self, ServiceConfig},
};
use rateguard::{RateGuard, RateLimit, key, rate_limit};

use crate::support::{
    redis_server::RedisServer,
    server::Server,
    wire::{self, Answer},
};

/// How many bytes actix-web takes of a request's head.
const MOST: usize = 128 << 10;

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

/// Paths, and how long the names of their buckets are in Redis.
const PATHS: [(&str, usize); 3] = [
    ("/attribute", "hostile:{}:strange::keys".len() + 32),
    ("/middleware", "hostile:{}:middle".len() + 32),
    ("/closure", "hostile:{}:closed:keys".len() + 32),
];

fn serve(guard: &RateGuard) -> impl Fn(&mut ServiceConfig) + Clone + Send + use<> {
    let guard = guard.clone();
    move |app| {
        let limit = RateLimit::new(&guard, "1/day").name("middle").by(key::header("X-Api-Key"));
        let resource = web::resource("/middleware").wrap(limit).to(async || "ok");
        app.app_data(guard.clone()).service((attribute, closure, address)).service(resource);
    }
}

fn head(path: &str, value: &[u8]) -> Vec<u8> {
    let start = format!("GET {path} HTTP/1.1\r\nHost: test\r\nX-Api-Key: ");
    [start.as_bytes(), value, b"\r\n\r\n"].concat()
}

/// Values that a server takes.
fn hostile() -> Vec<Vec<u8>> {
    let all: Vec<u8> = (0x80..=0xff).collect();
    let room = MOST - head("/attribute", b"").len();
    let longest = |byte: u8, less: usize| vec![byte; room - less];
    let mut values = vec![
        // As long as can be, and one byte of difference at the end.
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

/// Of a value, its end and its length: of some, there is too much.
fn shown(value: &[u8]) -> impl Debug + use<> {
    let end = value[value.len().saturating_sub(20)..].escape_ascii().to_string();
    (value.len(), end)
}

#[test]
fn a_value_of_any_bytes_and_any_length_is_one_short_key() {
    let redis = RedisServer::start();
    let server = Server::start(serve(&redis.guard("hostile")));
    let values = hostile();
    assert_eq!(values.iter().collect::<HashSet<_>>().len(), values.len());
    for (path, _) in PATHS {
        // One connection, so that its worker has lived through all of it.
        let mut stream = wire::connect(server.address());
        for value in &values {
            for expected in [200, 429] {
                stream.write_all(&head(path, value)).unwrap();
                let answer = wire::answer(&mut stream);
                assert_eq!(answer, Answer::Status(expected), "{path} {:?}", shown(value));
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
fn what_is_too_much_for_the_server_is_refused_by_it_and_it_lives_on() {
    let redis = RedisServer::start();
    let guard = redis.guard("hostile");
    static WORKERS: AtomicUsize = AtomicUsize::new(0);
    let serve = serve(&guard);
    let server = Server::start(move |app| {
        WORKERS.fetch_add(1, SeqCst);
        serve(app);
    });
    let asked = |path: &str, value: &[u8]| wire::ask(server.address(), &head(path, value));
    let hostile = [
        vec![b'x'; MOST],
        vec![0xff; MOST],
        vec![b'x'; 4 * MOST],
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
        for value in &hostile {
            let answer = asked(path, value);
            let is_refused = match answer {
                Answer::Status(status) => (400..500).contains(&status),
                // There was more to read.
                Answer::Nothing => value.len() >= MOST,
            };
            assert!(is_refused, "{path} {:?}: {answer:?}", shown(value));
        }
        // Without a value there is no key but the address; to the closure nothing is a value, too.
        for (value, expected) in [("", 200), (" \t ", 429), ("", 429), ("other", 200)] {
            assert_eq!(asked(path, value.as_bytes()), Answer::Status(expected), "{path} {value:?}");
        }
    }
    // Of two workers both answer, and no other had to be started in the place of one.
    for _ in 0..20 {
        assert_eq!(asked("/address", b"x"), Answer::Status(200));
    }
    assert_eq!(WORKERS.load(SeqCst), 2);
}
