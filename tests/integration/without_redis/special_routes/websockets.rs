//! Tests limits of WebSockets.

use std::io::Read;

use actix_rateguard::{Key, Limit, Policy, RateGuard, RateLimit, rate_limit};
use actix_web::{HttpRequest, HttpResponse, Responder, error::ErrorInternalServerError, get, web};
use actix_ws::{CloseCode, CloseReason, Message};

use crate::support::{
    nginx::Nginx,
    server::Server,
    websocket::{CLOSE, TEXT, handshake, read_frame, send_text},
    wire::open,
};

/// Returns each message to the client.
async fn echo(request: HttpRequest, body: web::Payload) -> actix_web::Result<HttpResponse> {
    let (response, mut session, mut messages) = actix_ws::handle(&request, body)?;
    actix_web::rt::spawn(async move {
        while let Some(Ok(Message::Text(text))) = messages.recv().await {
            if session.text(text).await.is_err() {
                return;
            }
        }
    });
    Ok(response)
}

#[get("/chat/attribute")]
#[rate_limit(rate = "2/minute", key = "ip")]
async fn limited_echo(request: HttpRequest, body: web::Payload) -> impl Responder {
    echo(request, body).await
}

#[get("/chat/failures")]
#[rate_limit(rate = "1/minute", key = "ip", count = "failure")]
async fn echo_failures(request: HttpRequest, body: web::Payload) -> impl Responder {
    echo(request, body).await
}

/// Returns each message to the client, up to 3 in 10 seconds.
#[get("/chat/messages")]
async fn limited_messages(
    request: HttpRequest,
    body: web::Payload,
    guard: web::Data<RateGuard>,
) -> actix_web::Result<HttpResponse> {
    let (response, mut session, mut messages) = actix_ws::handle(&request, body)?;
    let policy = Policy::new("messages", "3/10s").map_err(ErrorInternalServerError)?;
    actix_web::rt::spawn(async move {
        while let Some(Ok(message)) = messages.recv().await {
            if !guard.allows(&policy, &Key::from("alice")).await {
                let reason = Some(CloseReason::from(CloseCode::Policy));
                let _ = session.close(reason).await;
                return;
            }
            let sent = match message {
                Message::Text(text) => session.text(text).await,
                Message::Ping(bytes) => session.pong(&bytes).await,
                _ => Ok(()),
            };
            if sent.is_err() {
                return;
            }
        }
    });
    Ok(response)
}

fn start() -> Server {
    let guard = RateGuard::in_memory();
    Server::start(move |app| {
        let limit = RateLimit::new(&guard, Limit::new("2/minute").name("route-echo"));
        app.app_data(web::Data::new(guard.clone()))
            .service((limited_echo, echo_failures, limited_messages))
            .service(web::resource("/chat/middleware").wrap(limit).to(echo));
    })
}

#[test]
fn websocket_handshake_is_denied_before_the_upgrade() {
    let server = start();
    for path in ["/chat/attribute", "/chat/middleware"] {
        for remaining in ["1", "0"] {
            let (mut stream, head) = handshake(server.address(), path);
            assert_eq!((head.status, head.header("upgrade")), (101, Some("websocket")), "{head:?}");
            // The response to the handshake has the headers. Messages do not count.
            assert_eq!(head.header("x-ratelimit-remaining"), Some(remaining), "{head:?}");
            for message in ["one", "two", "three", "four", "five"] {
                send_text(&mut stream, message);
                assert_eq!(read_frame(&mut stream), (TEXT, message.into()));
            }
        }
        let (mut stream, head) = handshake(server.address(), path);
        assert_eq!((head.status, head.header("upgrade")), (429, None), "{head:?}");
        assert!(head.header("retry-after").is_some(), "{head:?}");
        assert_eq!(head.header("connection"), Some("close"), "{head:?}");
        // actix-web closes the connection after the body.
        let mut body = Vec::new();
        stream.read_to_end(&mut body).unwrap();
        assert_eq!(Some(&*body.len().to_string()), head.header("content-length"));
    }
}

#[test]
fn successful_handshakes_do_not_count_if_only_failures_do() {
    let server = start();
    for _ in 0..3 {
        assert_eq!(handshake(server.address(), "/chat/failures").1.status, 101);
    }
    let without_upgrade = || open(server.address(), "GET /chat/failures HTTP/1.1").1.status;
    assert_eq!([without_upgrade(), without_upgrade()], [400, 429]);
    assert_eq!(handshake(server.address(), "/chat/failures").1.status, 429);
}

#[test]
fn messages_over_their_limit_close_the_websocket() {
    let server = start();
    let (mut stream, head) = handshake(server.address(), "/chat/messages");
    assert_eq!(head.status, 101);
    for message in ["one", "two", "three"] {
        send_text(&mut stream, message);
        assert_eq!(read_frame(&mut stream), (TEXT, message.into()));
    }
    send_text(&mut stream, "four");
    let (opcode, payload) = read_frame(&mut stream);
    assert_eq!((opcode, &payload[..2]), (CLOSE, &1_008_u16.to_be_bytes()[..]));
    // The limit belongs to the user, so a new connection does not reset it.
    let (mut stream, _) = handshake(server.address(), "/chat/messages");
    send_text(&mut stream, "five");
    assert_eq!(read_frame(&mut stream).0, CLOSE);
}

#[test]
fn documented_nginx_settings_pass_upgrades_and_rejections() {
    let server = start();
    let Some(nginx) = Nginx::start_with_location(server.address(), "/chat/") else { return };
    for _ in 0..2 {
        let (mut stream, head) = handshake(nginx.address(), "/chat/attribute");
        assert_eq!(head.status, 101, "{head:?}");
        send_text(&mut stream, "hello");
        assert_eq!(read_frame(&mut stream), (TEXT, "hello".into()));
    }
    assert_eq!(handshake(nginx.address(), "/chat/attribute").1.status, 429);
}
