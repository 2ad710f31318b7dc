//! Tests that limits which need no body are checked before the body is read.

use std::io::Write;

use actix_rateguard::Limit;

use super::{JSON, echo, login, send_head, servers};
use crate::support::{
    eventually,
    redis_server::{RedisServer, run},
    wire::{Head, WireResponse, read_response},
};

#[test]
fn denied_client_sends_no_body() {
    let redis = RedisServer::start();
    let servers = servers(&redis, "denied-early", |guard, app| {
        let account = Limit::new("9/hour").key("json:/email").name("early-account");
        echo(guard, app, [account, Limit::new("3/hour").name("early-address")]);
    });
    for account in ["ann", "bob", "cid"] {
        assert_eq!(login(&servers[0], account).status, 200);
    }
    for server in &servers {
        for length in
            ["Content-Length: 100", "Content-Length: 100000", "Transfer-Encoding: chunked"]
        {
            let mut stream = send_head(server.address(), length);
            let head = Head::read(&mut stream);
            assert_eq!(head.status, 429, "{length}");
            assert_eq!(head.header("x-ratelimit-limit"), Some("3"), "{length}");
            assert!(head.header("retry-after").is_some(), "{length}");
        }
    }
}

#[test]
fn early_denials_count_towards_a_ban_once() {
    let redis = RedisServer::start();
    let servers = servers(&redis, "denied-ban", |guard, app| {
        let address = Limit::new("1/minute").ban("3/hour for 1h").name("ban-address");
        let account = Limit::new("9/hour").key("json:/email").name("ban-account");
        echo(guard, app, [account, address]);
    });
    assert_eq!(login(&servers[0], "ann").status, 200);
    let retry_after = |server: usize| login(&servers[server], "ann").number("retry-after");
    // The third offence starts the ban, which lasts longer than the window.
    assert!(retry_after(0) <= 60);
    assert!(retry_after(1) <= 60);
    assert!(retry_after(0) > 3_500);
}

#[test]
fn body_that_never_comes_holds_no_units_and_no_permit() {
    let redis = RedisServer::start();
    let servers = servers(&redis, "denied-waiting", |guard, app| {
        let address = Limit::new("2/hour").concurrent(1).name("waiting-address");
        let account = Limit::new("9/hour").key("json:/email").name("waiting-account");
        echo(guard, app, [address, account]);
    });
    let mut waiting: Vec<_> = (0..6)
        .map(|index| {
            let server = servers[index % 2].address();
            let mut stream = send_head(server, "Content-Length: 20");
            stream.write_all(br#"{"email":"#).unwrap();
            stream
        })
        .collect();
    assert_eq!(login(&servers[0], "ann").status, 200);
    // The first request ends with its body, so the next ones are denied: the limit has no more units.
    waiting[0].write_all(br#""victim" } "#).unwrap();
    assert_eq!(read_response(&mut waiting[0]), WireResponse::Status(200));
    waiting[1].write_all(br#""victim" } "#).unwrap();
    assert_eq!(read_response(&mut waiting[1]), WireResponse::Status(429));
    drop(waiting);
    assert_eq!(login(&servers[1], "bob").status, 429);
    // Each request holds its permit only until its response has ended.
    let mut client = redis.client();
    eventually("no permit is held", || {
        let keys: Vec<String> = run(&mut client, "KEYS *permits*");
        let held = |key: &String| run::<usize>(&mut client, &format!("ZCARD {key}"));
        keys.iter().map(held).all(|held| held == 0).then_some(())
    });
}

#[test]
fn expected_continue_and_chunked_bodies_have_keys() {
    let redis = RedisServer::start();
    let servers = servers(&redis, "denied-wire", |guard, app| {
        let account = Limit::new("2/hour").key("json:/email").missing_key("deny").name("wire");
        echo(guard, app, [account]);
    });
    let body = br#"{"email":"ann"}"#;
    let mut expected =
        send_head(servers[0].address(), "Content-Length: 15\r\nExpect: 100-continue");
    assert_eq!(Head::read(&mut expected).status, 100);
    expected.write_all(body).unwrap();
    assert_eq!(read_response(&mut expected), WireResponse::Status(200));

    let mut chunked = send_head(servers[1].address(), "Transfer-Encoding: chunked");
    for byte in body {
        chunked.write_all(&[b'1', b'\r', b'\n', *byte, b'\r', b'\n']).unwrap();
    }
    chunked.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(read_response(&mut chunked), WireResponse::Status(200));
    // The connection is still usable.
    write!(
        chunked,
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Type: {JSON}\r\nContent-Length: 15\r\n\r\n"
    )
    .unwrap();
    chunked.write_all(body).unwrap();
    assert_eq!(read_response(&mut chunked), WireResponse::Status(429));
}

#[test]
fn limit_in_shadow_denies_nothing_before_the_body() {
    let redis = RedisServer::start();
    let servers = servers(&redis, "denied-shadow", |guard, app| {
        let shadow = Limit::new("1/hour").shadow().name("shadow-address");
        let account = Limit::new("3/hour").key("json:/email").name("shadow-account");
        echo(guard, app, [shadow, account]);
    });
    let statuses = [0, 1, 0, 1].map(|server: usize| login(&servers[server], "ann").status);
    assert_eq!(statuses, [200, 200, 200, 429]);
}
