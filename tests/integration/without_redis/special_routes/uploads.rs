//! Tests limits of uploads.

use std::io::{ErrorKind, Read};

use actix_rateguard::{BodyCost, Limit, RateGuard, RateLimit, RequestCost, rate_limit};
use actix_web::{Responder, post, test::TestRequest, web};

use crate::support::{
    app::{from_client, send},
    nginx::Nginx,
    server::Server,
    wire::{Head, open},
};

const TEN_MEGABYTES: usize = 10 << 20;

async fn upload(mut body: web::Payload) -> actix_web::Result<String> {
    let mut length = 0;
    while let Some(part) = futures_util::StreamExt::next(&mut body).await {
        length += part?.len();
    }
    Ok(length.to_string())
}

#[post("/uploads/attribute")]
#[rate_limit(rate = "2/minute", key = "ip")]
async fn limited_upload(body: web::Payload) -> impl Responder {
    upload(body).await
}

fn upload_head(path: &str, fields: &str) -> String {
    format!("POST {path} HTTP/1.1\r\n{fields}Content-Length: {TEN_MEGABYTES}")
}

fn start() -> Server {
    let guard = RateGuard::in_memory();
    Server::start(move |app| {
        let limit = RateLimit::new(&guard, Limit::new("2/minute").name("route-upload"));
        app.app_data(guard.clone())
            .service(limited_upload)
            .service(web::resource("/uploads/middleware").wrap(limit).to(upload));
    })
}

#[test]
fn upload_is_rejected_before_its_body_is_read() {
    let server = start();
    for path in ["/uploads/attribute", "/uploads/middleware"] {
        for _ in 0..2 {
            let body = vec![b'x'; TEN_MEGABYTES];
            let mut allowed = ureq::post(server.url(path)).send(&body).unwrap();
            assert_eq!(allowed.body_mut().read_to_string().unwrap(), TEN_MEGABYTES.to_string());
        }
        // The client has sent no byte of the body.
        let (mut stream, head) = open(server.address(), &upload_head(path, ""));
        assert_eq!((head.status, head.header("connection")), (429, Some("close")), "{head:?}");
        // The server does not wait for the body on this connection.
        let mut rest = Vec::new();
        let end = stream.read_to_end(&mut rest);
        assert!(end.is_ok() || end.unwrap_err().kind() == ErrorKind::ConnectionReset);
    }
}

#[test]
fn actix_web_responds_to_expect_before_the_limit() {
    let server = start();
    for _ in 0..2 {
        assert_eq!(open(server.address(), "POST /uploads/middleware HTTP/1.1").1.status, 200);
    }
    let request = upload_head("/uploads/middleware", "Expect: 100-continue\r\n");
    let (mut stream, head) = open(server.address(), &request);
    assert_eq!(head.status, 100);
    assert_eq!(Head::read(&mut stream).status, 429);
}

#[post("/uploads/by-size")]
#[rate_limit(rate = "10/minute", key = "ip", cost = |req| BodyCost::per_bytes(1_000_000).cost(req))]
async fn upload_by_size(body: web::Payload) -> impl Responder {
    upload(body).await
}

#[actix_web::test]
async fn large_uploads_cost_more() {
    let app = app!(RateGuard::in_memory(), upload_by_size);
    let length = ("Content-Length", TEN_MEGABYTES.to_string());
    let request = TestRequest::post().uri("/uploads/by-size").insert_header(length);
    // 10 MiB cost 11 units.
    assert_eq!(send(&app, from_client(1, request)).await.status, 429);
    let request = TestRequest::post().uri("/uploads/by-size").set_payload(vec![b'x'; 3_000_000]);
    let request = request.insert_header(("Content-Length", "3000000"));
    let response = send(&app, from_client(1, request)).await;
    assert_eq!((response.status, response.numbers().unwrap()[1]), (200, 7));
}

#[test]
fn documented_nginx_settings_forward_an_upload_before_its_body() {
    let server = start();
    let Some(nginx) = Nginx::start_with_location(server.address(), "/uploads/") else { return };
    for _ in 0..2 {
        assert_eq!(open(nginx.address(), "POST /uploads/attribute HTTP/1.1").1.status, 200);
    }
    // The client has sent no byte of the body.
    assert_eq!(open(nginx.address(), &upload_head("/uploads/attribute", "")).1.status, 429);
}
