//! Tests limits of the messages of WebSockets: a flood on one connection, and several connections of one user on two
//! servers with a common Redis.

use std::net::TcpStream;

use actix_rateguard::{Key, MessageLimits, Policy, RateGuard};
use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{CloseCode, CloseReason, Message};

use crate::support::{
    redis_server::{RedisServer, script_calls},
    server::Server,
    websocket::{CLOSE, TEXT, handshake, read_frame, send_text},
};

/// Responds to each message with `ok`, or with `slow down` if the connection has sent too many. If the user has sent too
/// many, closes the connection.
async fn chat(
    request: HttpRequest,
    body: web::Payload,
    user: web::Path<String>,
    guard: web::Data<RateGuard>,
    limits: web::Data<MessageLimits>,
) -> actix_web::Result<HttpResponse> {
    let (response, mut session, mut messages) = actix_ws::handle(&request, body)?;
    let mut limiter = limits.limiter(&guard, &Key::from(user.into_inner()));
    actix_web::rt::spawn(async move {
        while let Some(Ok(Message::Text(text))) = messages.recv().await {
            let decision = limiter.check(text.len() as u32).await.unwrap();
            let sent = match (decision.is_allowed(), decision.retry_after()) {
                (true, _) => session.text("ok").await,
                (false, _) if !decision.is_denied_by_user() => session.text("slow down").await,
                (false, _) => {
                    let reason = CloseReason::from(CloseCode::Policy);
                    let _ = session.close(Some(reason)).await;
                    return;
                }
            };
            if sent.is_err() {
                return;
            }
        }
    });
    Ok(response)
}

fn servers(redis: &RedisServer) -> [Server; 2] {
    let policy = Policy::new("messages", "50/hour").unwrap();
    let limits = MessageLimits::per_connection("20/hour").unwrap().per_user(policy);
    [(); 2].map(|()| {
        let (guard, limits) = (redis.guard("chat"), limits.clone());
        Server::start(move |app| {
            app.app_data(web::Data::new(guard.clone()))
                .app_data(web::Data::new(limits.clone()))
                .route("/chat/{user}", web::get().to(chat));
        })
    })
}

fn connect(server: &Server, user: &str) -> TcpStream {
    let (stream, head) = handshake(server.address(), &format!("/chat/{user}"));
    assert_eq!(head.status, 101);
    stream
}

/// Sends messages, and returns how many of them were admitted until the user was denied or all have been sent.
fn send(stream: &mut TcpStream, text: &str, messages: usize) -> (usize, bool) {
    let mut admitted = 0;
    for _ in 0..messages {
        send_text(stream, text);
        match read_frame(stream) {
            (TEXT, answer) => admitted += usize::from(answer == b"ok"),
            (CLOSE, _) => return (admitted, true),
            other => panic!("unexpected frame {other:?}"),
        }
    }
    (admitted, false)
}

#[test]
fn flood_on_one_connection_is_denied_without_redis() {
    let redis = RedisServer::start();
    let servers = servers(&redis);
    let mut stream = connect(&servers[0], "ann");
    assert_eq!(send(&mut stream, "a", 1_000), (20, false));
    // Redis decides only the messages that the connection may send. Each new connection to Redis also tests the script.
    let calls = script_calls(&redis);
    assert!((20..100).contains(&calls), "{calls}");
}

#[test]
fn connections_of_a_user_share_a_limit_on_all_servers() {
    let redis = RedisServer::start();
    let servers = servers(&redis);
    for (server, expected) in [(0, (20, false)), (1, (20, false)), (0, (10, true))] {
        let mut stream = connect(&servers[server], "ann");
        assert_eq!(send(&mut stream, "a", 100), expected);
    }
    let mut other = connect(&servers[1], "bob");
    assert_eq!(send(&mut other, "a", 20), (20, false));
}

#[test]
fn message_costs_its_length() {
    let redis = RedisServer::start();
    let servers = servers(&redis);
    let mut stream = connect(&servers[0], "ann");
    assert_eq!(send(&mut stream, "seven...", 10), (2, false));
    // A message above the limit of the connection is never admitted, and takes nothing.
    assert_eq!(send(&mut stream, &"x".repeat(21), 1), (0, false));
    assert_eq!(send(&mut stream, "four", 2), (1, false));
}

#[test]
fn invalid_quotas_of_messages_are_rejected() {
    for (quotas, part) in [
        ("5 concurrent", "expected rates such as \"20/second\", found `5 concurrent"),
        ("20/secnd", "secnd"),
        ("0/second", "expected a limit"),
    ] {
        let error = MessageLimits::per_connection(quotas).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
