//! Tests that the handler gets the whole body, whatever RateGuard has read of it.

use std::io::Write;

use actix_rateguard::{Limit, key, rate_limit};
use actix_web::{post, web};

use super::{FORM, JSON, echo, send_head, servers};
use crate::support::{
    app::attribute_guard,
    redis_server::RedisServer,
    server::post as send,
    wire::{WireResponse, read_response},
};

#[post("/attribute")]
#[rate_limit(rate = "100/hour", key = key::form("email"), name = "handed-on-attribute", limiter = attribute_guard())]
async fn attribute(body: web::Bytes) -> web::Bytes {
    body
}

#[test]
fn handler_gets_bodies_of_every_length() {
    let redis = RedisServer::start();
    let servers = servers(&redis, "handed-on", |guard, app| {
        let limit = |name: &'static str, key: &str| Limit::new("100/hour").key(key).name(name);
        app.app_data(web::PayloadConfig::new(1 << 20)).service(attribute);
        let limits =
            [limit("handed-on-json", "json:/email"), limit("handed-on-form", "ip+form:email")];
        echo(guard, app, limits);
    });
    for length in [0_usize, 8_191, 8_192, 8_193, 100_000, 1_000_000] {
        let padded = |start: &str, padding: &str| {
            format!("{start}{}", padding.repeat(length.saturating_sub(start.len())))
        };
        let (json, form) = (padded(r#"{"email":"ann"}"#, " "), padded("email=ann&x=", "x"));
        for path in ["/", "/attribute"] {
            for (media_type, body) in [(JSON, &json), (FORM, &form), ("text/plain", &json)] {
                let response = send(&servers[length % 2].url(path), media_type, body);
                assert_eq!(response.status, 200, "{path} {media_type} {length}");
                assert!(response.body == *body, "{path} {media_type} {length}");
            }
        }
    }
}

#[test]
fn handler_gets_the_error_of_an_invalid_body() {
    let redis = RedisServer::start();
    let servers = servers(&redis, "handed-on-error", |guard, app| {
        echo(guard, app, [Limit::new("1/hour").key("json:/email").name("handed-on-error")]);
    });
    let send = |server: usize, chunks: &str| {
        let mut stream = send_head(servers[server].address(), "Transfer-Encoding: chunked");
        stream.write_all(chunks.as_bytes()).unwrap();
        read_response(&mut stream)
    };
    assert_eq!(send(0, "3\r\n{\"a\r\nnot a length\r\n"), WireResponse::Status(400));
    // The invalid body has counted by address.
    assert_eq!(send(1, "2\r\n{}\r\n0\r\n\r\n"), WireResponse::Status(429));
    assert_eq!(send(1, "f\r\n{\"email\":\"ann\"}\r\n0\r\n\r\n"), WireResponse::Status(200));
}
