//! Tests clients that cancel or disconnect, workers that are blocked, key functions that panic, and servers that shut
//! down. None of these events may affect other clients.

use std::{
    net::{Ipv4Addr, SocketAddr},
    thread,
    time::{Duration, Instant},
};

use actix_rateguard::{Key, Limit, OnError, Policy, RateGuard, RateLimit, key, rate_limit};
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::{StreamExt, stream};
use tokio::{io::AsyncWriteExt, net::TcpSocket};

use super::checks::Checks;
use crate::support::{
    TEST_TIMEOUT, eventually,
    process::ExampleServer,
    proxy::{NetworkFaults, Proxy},
    redis_server::{RedisServer, packed_log_len, run},
    server::{self, Server},
    wire,
};

#[tokio::test]
async fn cancelled_checks_do_not_affect_other_checks() {
    let redis = RedisServer::start();
    let guard = redis.guard("cancelled");
    let policy = Policy::new("p", "1/hour").unwrap();
    let mut admitted = 0;
    for check in 0..2_000_u32 {
        // Depending on the timeout, a check is cancelled at its start, while it waits for the store, or not at all.
        // Each key is checked twice.
        let key = Key::from(check / 2);
        let timeout = Duration::from_micros(u64::from(check % 7) * 40);
        match tokio::time::timeout(timeout, guard.check(&policy, &key)).await {
            Ok(decision) => admitted += u32::from(decision.unwrap().is_allowed()),
            Err(_) => continue,
        }
    }
    // If the guard delivered a reply to the wrong check, both checks of a key might be admitted.
    assert!(admitted <= 1_000, "{admitted}");
    let key = Key::from("afterwards");
    assert!(guard.check(&policy, &key).await.unwrap().is_allowed());
    assert!(!guard.check(&policy, &key).await.unwrap().is_allowed());
}

#[tokio::test]
async fn disconnected_clients_count_once_and_leak_nothing() {
    const CLIENTS: u32 = 10_000;
    const PERMITS: usize = 64;
    let redis = RedisServer::start();
    let proxy = Proxy::to(redis.port());
    let settings = RateGuard::redis(proxy.url()).prefix("gone").max_in_flight(PERMITS);
    let checks = Checks::new(settings, TEST_TIMEOUT, "1000000/hour");
    checks.wait_for_decision().await;
    let site = Server::start({
        let guard = checks.guard.clone();
        move |app| {
            let limit =
                RateLimit::new(&guard, Limit::new("1000000/hour").key(key::ip()).name("address"));
            let page = web::resource("/").wrap(limit).get(async || "ok");
            app.app_data(guard.clone()).service(page);
        }
    });
    // Because of this delay, a check takes so long that its client disconnects during the check.
    proxy
        .set_faults(NetworkFaults { delay: Duration::from_millis(10), ..NetworkFaults::default() });
    let address = site.address();
    stream::iter(0..CLIENTS)
        .for_each_concurrent(200, async |number| {
            let socket = TcpSocket::new_v4().unwrap();
            // Each client sends from a different address, so the guard counts each client separately.
            let [.., high, low] = number.to_be_bytes();
            let client_ip = Ipv4Addr::new(127, 1, high, low);
            socket.bind(SocketAddr::from((client_ip, 0))).unwrap();
            let mut stream = socket.connect(address).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            tokio::time::sleep(Duration::from_millis(u64::from(number % 8))).await;
            // With this option, the client closes its connection with a TCP reset instead of a normal close.
            stream.set_zero_linger().unwrap();
        })
        .await;
    proxy.clear_faults();

    eventually("all connections are closed", || (connections_to(address) == 0).then_some(()));
    // When the checks of all clients have ended, all permits of the concurrency limit must be free. Then `PERMITS`
    // concurrent checks succeed.
    let start = Instant::now();
    while checks.check_concurrently(PERMITS).await.iter().any(Result::is_err) {
        assert!(start.elapsed() < TEST_TIMEOUT);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut client = redis.client();
    let names: Vec<String> = run(&mut client, "KEYS gone:*:address");
    let counts = names.iter().map(|name| packed_log_len(&mut client, name));
    let counts: Vec<_> = counts.collect();
    assert!(!counts.is_empty());
    // If a client has already disconnected, the server cannot read its address. All such clients are counted
    // together, under one key.
    let shared = counts.iter().filter(|count| **count != 1).count();
    assert!(shared <= 1 && counts.iter().sum::<u32>() <= CLIENTS, "{counts:?}");
}

/// Returns the number of connections to this address that the kernel lists.
fn connections_to(address: SocketAddr) -> usize {
    let local = format!(":{:04X}", address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let is_connection = |line: &&str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        // The state 0A means that the socket is listening, so it is not a connection.
        fields[1].ends_with(&local) && fields[3] != "0A"
    };
    table.lines().skip(1).filter(is_connection).count()
}

#[test]
fn server_shutdown_is_prompt_even_if_redis_is_frozen() {
    for is_frozen in [false, true] {
        let redis = RedisServer::start();
        let mut server = ExampleServer::quickstart(Some(&redis.url()));
        let url = server.url("/search/rust");
        assert_eq!(server::get(&url).status, 200);
        if is_frozen {
            redis.freeze();
        }
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let url = url.clone();
                thread::spawn(move || {
                    let agent = server::agent();
                    let mut responses = 0_u32;
                    while let Ok(response) = server::try_get(&agent, &url) {
                        assert!(matches!(response.status, 200 | 429), "{response:?}");
                        responses += 1;
                    }
                    responses
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(300));
        let start = Instant::now();
        let status = server.terminate();
        // If an HTTP request did not end, the server would wait 30 seconds for it before the shutdown.
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        assert!(status.success(), "{status}");
        for client in clients {
            assert!(client.join().unwrap() > 0);
        }
    }
}

#[test]
fn blocked_worker_does_not_stall_other_checks() {
    let redis = RedisServer::start();
    let settings = redis.settings("blocked");
    check_with_blocked_worker(settings.deadline(Duration::from_secs(10)).build().unwrap());
}

/// Sends checks while the runtime of the first check is blocked, and one more check after this runtime has ended.
pub fn check_with_blocked_worker(guard: RateGuard) {
    let policy = Policy::new("p", "1000/hour").unwrap();
    let check = |guard: RateGuard, policy: Policy| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move { guard.check(&policy, &Key::global()).await.unwrap() });
    };
    // The runtime that first uses the connection is blocked after its check, until the test unblocks it. Then it ends.
    let (unblock, unblocked) = std::sync::mpsc::channel::<()>();
    let blocking = thread::spawn({
        let (guard, policy) = (guard.clone(), policy.clone());
        move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                guard.check(&policy, &Key::global()).await.unwrap();
                unblocked.recv().unwrap();
            });
        }
    });
    for _ in 0..10 {
        check(guard.clone(), policy.clone());
    }
    unblock.send(()).unwrap();
    blocking.join().unwrap();
    check(guard, policy);
}

/// Returns the user as the key. Panics if the request has the header `X-Panic`.
fn user(request: &HttpRequest) -> Option<String> {
    if request.headers().contains_key("X-Panic") {
        // `resume_unwind` causes a panic that prints no message.
        std::panic::resume_unwind(Box::new("a bug"));
    }
    Some(request.headers().get("X-User")?.to_str().ok()?.to_owned())
}

#[rate_limit(limit = 2, window = 3600, key = user)]
async fn by_attribute() -> HttpResponse {
    HttpResponse::Ok().finish()
}

#[test]
fn panicking_key_function_closes_only_its_own_connection() {
    let redis = RedisServer::start();
    let settings = redis.settings("panics").deadline(TEST_TIMEOUT).on_error(OnError::Closed);
    let guard = settings.max_in_flight(4).build().unwrap();
    let site = Server::start(move |app| {
        let limit = RateLimit::new(&guard, Limit::new("2/hour").key(user).name("middleware"));
        app.app_data(guard.clone())
            .route("/attribute", web::get().to(by_attribute))
            .service(web::resource("/middleware").wrap(limit).get(async || "ok"));
    });
    let send = |path: &str, header: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{header}: ann\r\n\r\n");
        wire::send(site.address(), request.as_bytes())
    };
    for path in ["/attribute", "/middleware"] {
        let mut statuses = Vec::new();
        for _ in 0..3 {
            // The number of panics is larger than the number of workers and of permits. If a panic used up a worker
            // or a permit, the requests after it would fail.
            for _ in 0..10 {
                assert_eq!(send(path, "X-Panic"), wire::WireResponse::Closed);
            }
            statuses.push(send(path, "X-User"));
        }
        assert_eq!(statuses, [200, 200, 429].map(wire::WireResponse::Status), "{path}");
    }
}

#[test]
fn dropped_guard_closes_its_connection() {
    let redis = RedisServer::start();
    let mut client = redis.client();
    let mut connections = || -> usize {
        let list: String = run(&mut client, "CLIENT LIST");
        list.lines().count()
    };
    let guards: Vec<_> = (0..5).map(|_| redis.guard("dropped")).collect();
    eventually("all guards are connected", || (connections() == 6).then_some(()));
    drop(guards);
    eventually("all connections are closed", || (connections() == 1).then_some(()));
}
