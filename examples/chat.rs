//! Each connection may send 5 messages per second, and each user 60 per minute on all connections and servers.
//!
//! ```sh
//! cargo run --example chat
//! websocat ws://127.0.0.1:8080/chat/ann   # or any other client for WebSockets
//! ```
//!
//! `PORT` changes the port. With `REDIS_URL`, all servers on that Redis share the limit of each user.

#![allow(clippy::print_stdout, reason = "it prints what to do next")]

use std::{env, error::Error};

use actix_rateguard::{Key, MessageDecision, MessageLimits, Policy, RateGuard, rate_limit};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, get, rt, web};
use actix_ws::{CloseCode, CloseReason, Message};
use env_logger::Env;

/// Returns each message to the client. A real service reads the user from the authentication, not from the path.
#[get("/chat/{user}")]
#[rate_limit(rate = "10/minute", concurrent = 5, key = "ip")] // limits the handshakes and the open connections
async fn chat(
    request: HttpRequest,
    body: web::Payload,
    user: web::Path<String>,
    guard: web::Data<RateGuard>,
    messages: web::Data<MessageLimits>,
) -> actix_web::Result<HttpResponse> {
    let (response, mut session, mut stream) = actix_ws::handle(&request, body)?;
    let mut limiter = messages.limiter(&guard, &Key::from(user.into_inner()));
    rt::spawn(async move {
        while let Some(Ok(message)) = stream.recv().await {
            let reply = match limiter.check(1).await {
                Ok(MessageDecision::DeniedByConnection { .. }) => "Slow down.".into(),
                Ok(decision) if !decision.is_allowed() => break,
                // While Redis does not answer, the failure mode decides.
                Err(unavailable) if !unavailable.lets_pass() => break,
                _ => match message {
                    Message::Text(text) => text,
                    Message::Close(_) => break,
                    _ => continue,
                },
            };
            if session.text(reply).await.is_err() {
                return;
            }
        }
        let _ = session.close(Some(CloseReason::from(CloseCode::Policy))).await;
    });
    Ok(response)
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init_from_env(Env::default().default_filter_or("info"));
    let port: u16 = match env::var("PORT") {
        Ok(port) => port.parse().map_err(|error| format!("PORT={port}: {error}"))?,
        Err(_) => 8080,
    };
    let guard = match env::var("REDIS_URL") {
        Ok(url) => RateGuard::redis(url)
            .prefix("chat")
            .build()
            .map_err(|error| format!("REDIS_URL: {error}"))?,
        Err(_) => RateGuard::in_memory(),
    };
    let messages =
        MessageLimits::per_connection("5/second")?.per_user(Policy::new("messages", "60/minute")?);
    let (guard, messages) = (web::Data::new(guard), web::Data::new(messages));

    let server = HttpServer::new(move || {
        App::new().app_data(guard.clone()).app_data(messages.clone()).service(chat)
    })
    .bind(("127.0.0.1", port))
    .map_err(|error| format!("port {port}: {error}; set PORT=8081 for another port"))?;
    println!("Try: websocat ws://127.0.0.1:{port}/chat/ann");
    server.run().await?;
    Ok(())
}
