//! Tests how long a response holds its permit: until its body ends, until the session of a WebSocket ends, or until the
//! client disconnects.

use std::{
    convert::Infallible,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use actix_rateguard::{Key, Limit, Policy, RateGuard, RateLimit, RequestPermit, rate_limit};
use actix_web::{
    App, Error, HttpRequest, HttpResponse, Responder,
    dev::Service,
    get,
    http::{Method, StatusCode},
    test::{TestRequest, init_service},
    web::{self, Bytes, ServiceConfig},
};
use futures_util::{FutureExt, StreamExt, stream};

use crate::support::{eventually, redis_server::RedisServer, server::Server, wire};

const QUOTAS: &str = "1 concurrent lease 1s";

/// Returns a stream that sends a chunk every 20 ms.
fn chunks(count: usize) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> {
    stream::iter(0..count).then(|_| async {
        actix_web::rt::time::sleep(Duration::from_millis(20)).await;
        Ok(Bytes::from_static(b"chunk\n"))
    })
}

#[get("/stream/{chunks}")]
#[rate_limit(concurrent = 1, permit_lease = "1s", key = |_: &HttpRequest| Key::from("k"), name = "permits-stream")]
async fn stream_chunks(path: web::Path<usize>) -> impl Responder {
    HttpResponse::Ok().streaming(chunks(*path))
}

#[get("/long")]
#[rate_limit(concurrent = 1, permit_lease = "1h", key = |_: &HttpRequest| Key::from("k"), name = "permits-long")]
async fn long() -> impl Responder {
    HttpResponse::Ok().streaming(chunks(1_000_000))
}

#[get("/panic")]
#[rate_limit(concurrent = 1, permit_lease = "1s", key = |_: &HttpRequest| Key::from("k"), name = "permits-panic")]
async fn panics() -> &'static str {
    panic!("this handler panics in a test")
}

#[get("/chat")]
#[rate_limit(concurrent = 1, permit_lease = "1s", key = |_: &HttpRequest| Key::from("k"), name = "permits-chat")]
async fn chat(
    request: HttpRequest,
    body: web::Payload,
    permit: RequestPermit,
) -> Result<HttpResponse, Error> {
    let (response, mut session, mut messages) = actix_ws::handle(&request, body)?;
    actix_web::rt::spawn(async move {
        while let Some(Ok(message)) = messages.next().await {
            if matches!(message, actix_ws::Message::Text(_)) {
                let text = if permit.is_valid() { "valid" } else { "expired" };
                let _ = session.text(text).await;
            }
        }
    });
    Ok(response)
}

#[get("/fixed")]
async fn fixed() -> &'static str {
    "fixed"
}

fn services(guard: &RateGuard, config: &mut ServiceConfig) {
    config
        .app_data(guard.clone())
        .service(stream_chunks)
        .service(long)
        .service(panics)
        .service(chat);
}

fn start(guard: &RateGuard) -> Server {
    let guard = guard.clone();
    Server::start(move |config| services(&guard, config))
}

/// Returns the number of permits that the key of all requests holds.
fn held(guard: &RateGuard, name: &'static str) -> u32 {
    let policy = Policy::new(name, QUOTAS).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let decision = runtime.block_on(guard.peek(&policy, &Key::from("k"))).unwrap();
    decision.statuses()[0].held_permits().unwrap()
}

fn released(guard: &RateGuard, name: &'static str) {
    eventually("the permit is released", || (held(guard, name) == 0).then_some(()));
}

/// Sends a GET request, and reads the first bytes of the response.
fn open(server: &Server, path: &str, headers: &str) -> (TcpStream, String) {
    let mut stream = wire::connect(server.address());
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\n{headers}\r\n").unwrap();
    let mut start = vec![0; 12];
    stream.read_exact(&mut start).unwrap();
    (stream, String::from_utf8(start).unwrap())
}

fn guards() -> Vec<(&'static str, RateGuard, Option<RedisServer>)> {
    let redis = RedisServer::start();
    vec![("memory", RateGuard::in_memory(), None), ("redis", redis.guard("streams"), Some(redis))]
}

#[test]
fn stream_holds_its_permit_for_several_leases_until_it_ends() {
    for (store, guard, _redis) in guards() {
        let server = start(&guard);
        // The stream lasts for at least 3 s, which is three leases.
        let (mut first, status) = open(&server, "/stream/150", "");
        assert_eq!(status, "HTTP/1.1 200", "{store}");
        for _ in 0..25 {
            std::thread::sleep(Duration::from_millis(100));
            assert_eq!(held(&guard, "permits-stream"), 1, "{store}");
        }
        assert_eq!(open(&server, "/stream/1", "").1, "HTTP/1.1 429", "{store}");
        let mut rest = Vec::new();
        while !rest.ends_with(b"0\r\n\r\n") {
            let mut bytes = [0; 4_096];
            let length = first.read(&mut bytes).unwrap();
            assert!(length > 0);
            rest.extend_from_slice(&bytes[..length]);
        }
        // The connection is still open.
        released(&guard, "permits-stream");
        assert_eq!(open(&server, "/stream/1", "").1, "HTTP/1.1 200", "{store}");
    }
}

#[test]
fn client_that_disconnects_releases_its_permit() {
    for (store, guard, _redis) in guards() {
        let server = start(&guard);
        let (stream, status) = open(&server, "/stream/1000000", "");
        assert_eq!(
            (status.as_str(), held(&guard, "permits-stream")),
            ("HTTP/1.1 200", 1),
            "{store}"
        );
        drop(stream);
        released(&guard, "permits-stream");
    }
}

#[test]
fn handler_that_panics_releases_its_permit() {
    for (_, guard, _redis) in guards() {
        let server = start(&guard);
        let response = wire::send(server.address(), b"GET /panic HTTP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!(response, wire::WireResponse::Closed);
        released(&guard, "permits-panic");
    }
}

#[test]
fn websocket_holds_its_permit_until_the_session_ends() {
    for (store, guard, _redis) in guards() {
        let server = start(&guard);
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let (mut socket, status) = open(&server, "/chat", upgrade);
        assert_eq!(status, "HTTP/1.1 101", "{store}");
        for _ in 0..20 {
            std::thread::sleep(Duration::from_millis(100));
            assert_eq!(held(&guard, "permits-chat"), 1, "{store}");
        }
        assert_eq!(open(&server, "/chat", upgrade).1, "HTTP/1.1 429", "{store}");
        // A text frame with the mask 0.
        socket.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).unwrap();
        let mut text = Vec::new();
        while !text.ends_with(b"valid") {
            let mut byte = [0];
            assert_eq!(socket.read(&mut byte).unwrap(), 1);
            text.push(byte[0]);
        }
        drop(socket);
        released(&guard, "permits-chat");
    }
}

#[actix_web::test]
async fn cancelled_handler_releases_its_permit() {
    use crate::support::app::from_client;
    use actix_web::{dev::Service, test::TestRequest};

    #[get("/never")]
    #[rate_limit(concurrent = 1, key = |_: &HttpRequest| Key::from("k"), name = "permits-never")]
    async fn never() -> &'static str {
        std::future::pending().await
    }

    let redis = RedisServer::start();
    for guard in [RateGuard::in_memory(), redis.guard("never")] {
        let app = app!(guard, never, fixed);
        let policy = Policy::new("permits-never", "1 concurrent").unwrap();
        let mut request =
            Box::pin(app.call(from_client(1, TestRequest::get().uri("/never")).to_request()));
        let held = async || {
            let decision = guard.peek(&policy, &Key::from("k")).await.unwrap();
            decision.statuses()[0].held_permits().unwrap()
        };
        while held().await == 0 {
            assert!((&mut request).now_or_never().is_none());
            actix_web::rt::time::sleep(Duration::from_millis(5)).await;
        }
        drop(request);
        while held().await > 0 {
            actix_web::rt::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[test]
fn stopped_server_gives_back_the_permits_of_interrupted_requests() {
    let redis = RedisServer::start();
    let guard = redis.guard("stopped");
    let server = start(&guard);
    let other = redis.guard("stopped");
    let (_stream, status) = open(&server, "/long", "");
    assert_eq!((status.as_str(), held(&other, "permits-long")), ("HTTP/1.1 200", 1));
    // The workers drop their tasks. The lease is so long that the permit does not come back by itself.
    drop(server);
    released(&other, "permits-long");
}

#[actix_web::test]
async fn head_request_holds_its_permit_only_until_the_handler_ends() {
    let guard = RateGuard::in_memory();
    let limit = || Limit::new("1 concurrent").key(|_: &HttpRequest| Key::from("k"));
    let app = App::new()
        .wrap(RateLimit::new(&guard, limit().name("permits-head")))
        .route("/", web::route().to(async || HttpResponse::Ok().streaming(chunks(1_000_000))));
    let app = init_service(app).await;
    let call = async |method: Method| {
        let request = TestRequest::with_uri("/").method(method).to_request();
        app.call(request).await.unwrap()
    };
    let head = call(Method::HEAD).await;
    let get = call(Method::GET).await;
    assert_eq!([head.status(), get.status()], [StatusCode::OK; 2]);
    assert_eq!(call(Method::GET).await.status(), StatusCode::TOO_MANY_REQUESTS);
}
