//! Tests clients that leave while their requests wait. The clock of the store only changes when the test changes it, so
//! a request that has left a queue cannot be mistaken for one that was admitted early.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use actix_rateguard::{Limit, MemoryStore, RateGuard, RateLimit, test_util::ManualClock};
use actix_web::{
    App, HttpServer,
    dev::{ServerHandle, Service},
    web,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::TEST_TIMEOUT;

/// The number of requests that have reached the server and have not left it.
type Requests = Arc<AtomicUsize>;

struct InServer(Requests);

impl InServer {
    fn new(requests: &Requests) -> Self {
        requests.fetch_add(1, SeqCst);
        Self(Arc::clone(requests))
    }
}

impl Drop for InServer {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// Starts a server with one worker and a limit of one request in a second.
fn start(clock: &ManualClock, allow_half_closed: bool) -> (SocketAddr, ServerHandle, Requests) {
    let store = MemoryStore::new().clock(clock.clone());
    let guard = RateGuard::builder().store(store).build().unwrap();
    let requests = Requests::default();
    let counter = Arc::clone(&requests);
    let server = HttpServer::new(move || {
        let limit = Limit::new("1/second").key("global").name("leaving").wait("60s");
        let counter = Arc::clone(&counter);
        App::new()
            .wrap(RateLimit::new(&guard, limit))
            .wrap_fn(move |request, service| {
                let in_server = InServer::new(&counter);
                let response = service.call(request);
                async move {
                    let _in_server = in_server;
                    response.await
                }
            })
            .route("/", web::get().to(async || "ok"))
    });
    let server = server.workers(1).h1_allow_half_closed(allow_half_closed).disable_signals();
    let server = server.bind("127.0.0.1:0").unwrap();
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    (address, handle, requests)
}

/// Sends a request on a new connection, and waits until the server has this number of requests.
async fn send(address: SocketAddr, requests: &Requests, expected: usize) -> TcpStream {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    until(requests, expected).await;
    client
}

async fn until(requests: &Requests, expected: usize) {
    let poll = async {
        while requests.load(SeqCst) != expected {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(TEST_TIMEOUT, poll).await.expect("the server has another number");
}

async fn status(client: &mut TcpStream) -> String {
    let mut status = [0; 12];
    let read = tokio::time::timeout(TEST_TIMEOUT, client.read_exact(&mut status));
    read.await.expect("no response").unwrap();
    String::from_utf8(status["HTTP/1.1 ".len()..].to_vec()).unwrap()
}

async fn next_request_gets_the_place(allow_half_closed: bool, leave: impl FnOnce(TcpStream)) {
    let clock = ManualClock::new();
    let (address, handle, requests) = start(&clock, allow_half_closed);
    assert_eq!(status(&mut send(address, &requests, 0).await).await, "200");
    let leaving = send(address, &requests, 1).await;
    let mut next = send(address, &requests, 2).await;
    let mut last = send(address, &requests, 3).await;
    leave(leaving);
    until(&requests, 2).await;
    clock.advance(Duration::from_secs(1));
    assert_eq!(status(&mut next).await, "200");
    until(&requests, 1).await;
    // The request that has left took no unit.
    clock.advance(Duration::from_secs(1));
    assert_eq!(status(&mut last).await, "200");
    handle.stop(false).await;
}

#[actix_web::test]
async fn client_that_resets_its_connection_frees_its_place() {
    next_request_gets_the_place(true, |client| {
        client.set_zero_linger().unwrap();
    })
    .await;
}

#[actix_web::test]
async fn client_that_closes_its_connection_frees_its_place_unless_half_closed_ones_are_served() {
    next_request_gets_the_place(false, drop).await;
}
