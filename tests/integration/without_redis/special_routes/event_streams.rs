//! Tests limits of streams of server-sent events.

use std::{io::Read, time::Duration};

use actix_rateguard::{Limit, RateGuard, RateLimit, rate_limit};
use actix_web::{HttpResponse, Responder, get, middleware::Compress, web};
use futures_util::stream;
use tokio::sync::broadcast::{self, Receiver, Sender};

use crate::support::{
    TEST_TIMEOUT,
    nginx::Nginx,
    server::Server,
    wire::{open, read_until},
};

/// Sends the event `start`, and then all events of the application's `Sender`.
async fn send_events(sender: web::Data<Sender<&'static str>>) -> HttpResponse {
    let next = async |(first, mut events): (Option<&'static str>, Receiver<&'static str>)| {
        let event = match first {
            Some(first) => first,
            None => events.recv().await.ok()?,
        };
        let text = web::Bytes::from(format!("data: {event}\n\n"));
        Some((Ok::<_, actix_web::Error>(text), (None, events)))
    };
    let events = stream::unfold((Some("start"), sender.subscribe()), next);
    HttpResponse::Ok().content_type("text/event-stream").streaming(Box::pin(events))
}

#[get("/events/attribute")]
#[rate_limit(rate = "2/minute", key = "ip")]
async fn limited_events(sender: web::Data<Sender<&'static str>>) -> impl Responder {
    send_events(sender).await
}

/// Starts a server. The `Sender` sends the events of its streams.
fn start() -> (Server, Sender<&'static str>) {
    let (guard, sender) = (RateGuard::in_memory(), broadcast::channel(100).0);
    let events = sender.clone();
    let server = Server::start(move |app| {
        let limit = |name| RateLimit::new(&guard, Limit::new("2/minute").name(name));
        app.app_data(guard.clone())
            .app_data(web::Data::new(events.clone()))
            .service(limited_events)
            .service(
                web::resource("/events/middleware").wrap(limit("route-events")).to(send_events),
            )
            .service(
                web::resource("/events/compressed")
                    .wrap(Compress::default())
                    .wrap(limit("route-compressed"))
                    .to(send_events),
            );
    });
    (server, sender)
}

#[test]
fn event_stream_counts_once_and_is_not_delayed() {
    let (server, sender) = start();
    for path in ["/events/attribute", "/events/middleware", "/events/compressed"] {
        for remaining in ["1", "0"] {
            let (mut stream, head) = open(server.address(), &format!("GET {path} HTTP/1.1"));
            assert_eq!(head.status, 200, "{head:?}");
            assert_eq!(head.header("x-ratelimit-remaining"), Some(remaining), "{head:?}");
            // Each event arrives before the server has the next one.
            read_until(&mut stream, "data: start\n\n");
            for event in ["one", "two", "three", "four", "five"] {
                sender.send(event).unwrap();
                read_until(&mut stream, &format!("data: {event}\n\n"));
            }
        }
        let (_, head) = open(server.address(), &format!("GET {path} HTTP/1.1"));
        assert_eq!(
            (head.status, head.header("content-type")),
            (429, Some("text/plain; charset=utf-8"))
        );
    }
}

#[test]
fn compressed_event_stream_is_not_delayed() {
    let (server, sender) = start();
    let request = "GET /events/compressed HTTP/1.1\r\nAccept-Encoding: gzip";
    let (mut stream, head) = open(server.address(), request);
    assert_eq!(head.header("content-encoding"), Some("gzip"), "{head:?}");
    assert_eq!(head.header("x-ratelimit-remaining"), Some("1"), "{head:?}");
    let mut chunk = [0; 1_024];
    assert!(stream.read(&mut chunk).unwrap() > 0);
    // The next bytes contain the next event, because the server does not send them before it has the event.
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    while stream.read(&mut chunk).is_ok_and(|read| read > 0) {}
    sender.send("one").unwrap();
    stream.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    assert!(stream.read(&mut chunk).unwrap() > 0);
}

#[test]
fn documented_nginx_settings_delay_no_event() {
    let (server, sender) = start();
    let Some(nginx) = Nginx::start_with_location(server.address(), "/events/") else { return };
    let (mut stream, _) = open(nginx.address(), "GET /events/attribute HTTP/1.1");
    read_until(&mut stream, "data: start\n\n");
    sender.send("one").unwrap();
    read_until(&mut stream, "data: one\n\n");
}
