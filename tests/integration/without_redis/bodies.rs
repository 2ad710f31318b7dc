//! Tests that a denied request is rejected before the server reads its body, and before an extractor runs.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use actix_rateguard::{RateGuard, RateLimit, rate_limit};
use actix_web::{
    App, FromRequest, HttpRequest, HttpResponse,
    dev::Payload,
    post,
    test::{TestRequest, init_service},
    web,
};
use futures_util::future::{Ready, ready};
use serde::Deserialize;

use crate::support::{
    TEST_TIMEOUT,
    app::{from_client, send},
    server::Server,
};

#[derive(Deserialize)]
struct Order {
    item: String,
}

static EXTRACTED: AtomicUsize = AtomicUsize::new(0);

/// An extractor that counts how often it is called.
struct CountingExtractor;

impl FromRequest for CountingExtractor {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(_: &HttpRequest, _: &mut Payload) -> Self::Future {
        EXTRACTED.fetch_add(1, SeqCst);
        ready(Ok(Self))
    }
}

#[post("/order")]
#[rate_limit(rate = "2/minute")]
async fn order(_: CountingExtractor, order: web::Json<Order>) -> HttpResponse {
    HttpResponse::Ok().body(order.item.clone())
}

fn order_request(body: &'static str) -> TestRequest {
    let request =
        TestRequest::post().uri("/order").insert_header(("Content-Type", "application/json"));
    from_client(1, request.set_payload(body))
}

#[actix_web::test]
async fn malformed_bodies_count_and_denied_requests_skip_extractors() {
    let app = init_service(App::new().app_data(RateGuard::in_memory()).service(order)).await;
    let malformed = send(&app, order_request("{ not json")).await;
    assert_eq!(malformed.status, 400);
    assert_eq!(malformed.numbers().unwrap()[..2], [2, 1]);
    assert_eq!(send(&app, order_request(r#"{"item":"tea"}"#)).await.body, "tea");

    let extracted = EXTRACTED.load(SeqCst);
    assert_eq!(extracted, 2);
    assert_eq!(send(&app, order_request("{ not json")).await.status, 429);
    assert_eq!(send(&app, order_request(r#"{"item":"tea"}"#)).await.status, 429);
    assert_eq!(EXTRACTED.load(SeqCst), extracted);
}

#[post("/upload")]
#[rate_limit(rate = "1/minute")]
async fn upload(body: web::Bytes) -> String {
    body.len().to_string()
}

async fn body_length(body: web::Bytes) -> String {
    body.len().to_string()
}

const TEN_MEGABYTES: usize = 10 << 20;

/// Sends the head of an upload without its body, and returns the response.
fn send_head_only(server: &Server, path: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    write!(stream, "POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {TEN_MEGABYTES}\r\n\r\n")
        .unwrap();
    let mut response = Vec::new();
    let mut part = [0; 1024];
    while !response.windows(4).any(|it| it == b"\r\n\r\n") {
        let read = stream.read(&mut part).unwrap();
        assert!(read > 0, "the server closed the connection without a response");
        response.extend_from_slice(&part[..read]);
    }
    String::from_utf8(response).unwrap()
}

#[test]
fn denied_upload_is_rejected_before_its_body() {
    let guard = RateGuard::in_memory();
    let server = Server::start(move |app| {
        let limit = RateLimit::new(&guard, "1/minute");
        app.app_data(guard.clone())
            .app_data(web::PayloadConfig::new(TEN_MEGABYTES))
            .service(upload)
            .service(web::resource("/middleware").wrap(limit).route(web::post().to(body_length)));
    });
    for path in ["/upload", "/middleware"] {
        let body = vec![b'x'; TEN_MEGABYTES];
        let mut allowed = ureq::post(server.url(path)).send(&body).unwrap();
        assert_eq!(allowed.body_mut().read_to_string().unwrap(), TEN_MEGABYTES.to_string());

        let denied = send_head_only(&server, path);
        assert!(denied.starts_with("HTTP/1.1 429 "), "{denied}");
        assert!(denied.contains("retry-after: "), "{denied}");
    }
}
