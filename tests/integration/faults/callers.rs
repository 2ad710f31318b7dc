//! Callers that give up, hang up, block or panic, and servers that are told to end: nobody else suffers.

use std::{
    net::{Ipv4Addr, SocketAddr},
    thread,
    time::{Duration, Instant},
};

use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::{StreamExt, stream};
use rateguard::{Key, OnError, Policy, RateGuard, RateLimit, key, rate_limit};
use tokio::{io::AsyncWriteExt, net::TcpSocket};

use super::checks::Checks;
use crate::support::{
    PATIENCE, eventually,
    process::Quickstart,
    proxy::{Proxy, Treatment},
    redis_server::{RedisServer, logged, run},
    server::{self, Server},
    wire,
};

#[tokio::test]
async fn cancelled_checks_disturb_no_others() {
    let redis = RedisServer::start();
    let guard = redis.guard("cancelled");
    let policy = Policy::new("p", "1/hour").unwrap();
    let mut admitted = 0;
    for check in 0..2_000_u32 {
        // Some are given up at once, some on their way, some not at all; each key is asked for twice.
        let key = Key::from(check / 2);
        let patience = Duration::from_micros(u64::from(check % 7) * 40);
        match tokio::time::timeout(patience, guard.check(&policy, &key)).await {
            Ok(decision) => admitted += u32::from(decision.unwrap().is_allowed()),
            Err(_) => continue,
        }
    }
    // A reply that went to another check would admit a key twice.
    assert!(admitted <= 1_000, "{admitted}");
    let key = Key::from("afterwards");
    assert!(guard.check(&policy, &key).await.unwrap().is_allowed());
    assert!(!guard.check(&policy, &key).await.unwrap().is_allowed());
}

#[tokio::test]
async fn ten_thousand_clients_that_hang_up_count_once_each_and_leave_nothing_behind() {
    const CLIENTS: u32 = 10_000;
    const PLACES: usize = 64;
    let redis = RedisServer::start();
    let proxy = Proxy::to(redis.port());
    let settings = RateGuard::redis(proxy.url()).prefix("gone").max_in_flight(PLACES);
    let checks = Checks::new(settings, PATIENCE, "1000000/hour");
    checks.decided().await;
    let site = Server::start({
        let guard = checks.guard.clone();
        move |app| {
            let limit = RateLimit::new(&guard, "1000000/hour").by(key::ip()).name("address");
            let page = web::resource("/").wrap(limit).get(async || "ok");
            app.app_data(guard.clone()).service(page);
        }
    });
    // So that they hang up while the check is under way.
    proxy.treat(Treatment { delay: Duration::from_millis(10), ..Treatment::default() });
    let address = site.address();
    stream::iter(0..CLIENTS)
        .for_each_concurrent(200, async |number| {
            let socket = TcpSocket::new_v4().unwrap();
            // An address for each, so that it is seen what each of them has counted.
            let [.., high, low] = number.to_be_bytes();
            let own = Ipv4Addr::new(127, 1, high, low);
            socket.bind(SocketAddr::from((own, 0))).unwrap();
            let mut stream = socket.connect(address).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            tokio::time::sleep(Duration::from_millis(u64::from(number % 8))).await;
            // With a reset, as from a machine that is gone.
            stream.set_zero_linger().unwrap();
        })
        .await;
    proxy.behave();

    eventually("all connections are gone", || (connections_to(address) == 0).then_some(()));
    // As many as there are places are decided on at once, when the last of the clients' checks is over.
    let start = Instant::now();
    while checks.at_once(PLACES).await.iter().any(Result::is_err) {
        assert!(start.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut client = redis.client();
    let names: Vec<String> = run(&mut client, "KEYS gone:*:address");
    let counts = names.iter().map(|name| logged(&mut client, name));
    let counts: Vec<_> = counts.collect();
    assert!(!counts.is_empty());
    // Those who had hung up before their address was asked for have none, and are counted together.
    let together = counts.iter().filter(|count| **count != 1).count();
    assert!(together <= 1 && counts.iter().sum::<u32>() <= CLIENTS, "{counts:?}");
}

/// How many connections the kernel has that lead here.
fn connections_to(address: SocketAddr) -> usize {
    let local = format!(":{:04X}", address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let is_connection = |line: &&str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        // 0A listens.
        fields[1].ends_with(&local) && fields[3] != "0A"
    };
    table.lines().skip(1).filter(is_connection).count()
}

#[test]
fn a_server_that_is_told_to_end_ends_soon_whatever_redis_does() {
    for is_frozen in [false, true] {
        let redis = RedisServer::start();
        let mut server = Quickstart::start(Some(&redis.url()));
        let url = server.url("/search?q=rust");
        assert_eq!(server::get(&url).status, 200);
        if is_frozen {
            redis.freeze();
        }
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let url = url.clone();
                thread::spawn(move || {
                    let agent = server::agent();
                    let mut answers = 0_u32;
                    while let Ok(answer) = server::try_get(&agent, &url) {
                        assert!(matches!(answer.status, 200 | 429), "{answer:?}");
                        answers += 1;
                    }
                    answers
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(300));
        let told = Instant::now();
        let status = server.terminate();
        // It waits 30 seconds for requests that do not end.
        assert!(told.elapsed() < Duration::from_secs(10), "{:?}", told.elapsed());
        assert!(status.success(), "{status}");
        for client in clients {
            assert!(client.join().unwrap() > 0);
        }
    }
}

#[test]
fn a_worker_that_blocks_does_not_stall_the_checks_of_others() {
    let redis = RedisServer::start();
    let settings = redis.settings("blocked");
    block_a_worker(settings.deadline(Duration::from_secs(10)).build().unwrap());
}

/// Checks while the runtime that checked first is blocked, and when it is gone.
pub fn block_a_worker(guard: RateGuard) {
    let policy = Policy::new("p", "1000/hour").unwrap();
    let check = |guard: RateGuard, policy: Policy| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move { guard.check(&policy, &Key::global()).await.unwrap() });
    };
    // The first runtime that used the connection is blocked, then gone.
    let (blocked, go_on) = std::sync::mpsc::channel::<()>();
    let blocking = thread::spawn({
        let (guard, policy) = (guard.clone(), policy.clone());
        move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                guard.check(&policy, &Key::global()).await.unwrap();
                go_on.recv().unwrap();
            });
        }
    });
    for _ in 0..10 {
        check(guard.clone(), policy.clone());
    }
    blocked.send(()).unwrap();
    blocking.join().unwrap();
    check(guard, policy);
}

/// The user, unless the function has a mistake that this header brings out.
fn user(request: &HttpRequest) -> Option<String> {
    if request.headers().contains_key("X-Panic") {
        // As `panic!` does, without a word on the terminal.
        std::panic::resume_unwind(Box::new("a mistake"));
    }
    Some(request.headers().get("X-User")?.to_str().ok()?.to_owned())
}

#[rate_limit(limit = 2, window = 3600, key = user)]
async fn by_attribute() -> HttpResponse {
    HttpResponse::Ok().finish()
}

#[test]
fn a_key_function_that_panics_ends_one_connection_and_the_server_goes_on() {
    let redis = RedisServer::start();
    let settings = redis.settings("panics").deadline(PATIENCE).on_error(OnError::Closed);
    let guard = settings.max_in_flight(4).build().unwrap();
    let site = Server::start(move |app| {
        let limit = RateLimit::new(&guard, "2/hour").by(user).name("middleware");
        app.app_data(guard.clone())
            .route("/attribute", web::get().to(by_attribute))
            .service(web::resource("/middleware").wrap(limit).get(async || "ok"));
    });
    let ask = |path: &str, header: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{header}: ann\r\n\r\n");
        wire::ask(site.address(), request.as_bytes())
    };
    for path in ["/attribute", "/middleware"] {
        let mut statuses = Vec::new();
        for _ in 0..3 {
            // More than there are workers and places.
            for _ in 0..10 {
                assert_eq!(ask(path, "X-Panic"), wire::Answer::Nothing);
            }
            statuses.push(ask(path, "X-User"));
        }
        assert_eq!(statuses, [200, 200, 429].map(wire::Answer::Status), "{path}");
    }
}

#[test]
fn a_dropped_guard_leaves_neither_thread_nor_connection() {
    let redis = RedisServer::start();
    let mut client = redis.client();
    let mut connections = || -> usize {
        let list: String = run(&mut client, "CLIENT LIST");
        list.lines().count()
    };
    let guards: Vec<_> = (0..5).map(|_| redis.guard("dropped")).collect();
    eventually("all are connected", || (connections() == 6).then_some(()));
    drop(guards);
    eventually("all are gone", || (connections() == 1).then_some(()));
}
