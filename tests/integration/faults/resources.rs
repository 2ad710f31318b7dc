//! Tests a machine that has no free file descriptors, and a DNS resolver that fails or hangs.

use std::{net::TcpStream, thread, time::Duration};

use actix_rateguard::{RateGuard, StoreError};

use super::checks::{Checks, MAX_WAIT};
use crate::support::{
    eventually,
    process::ExampleServer,
    redis_server::RedisServer,
    server::{Response, agent, try_get},
    shim::Resolver,
};

/// Sends a request on a keep-alive connection, and asserts that the response arrives in time.
fn send(agent: &ureq::Agent, server: &ExampleServer) -> Response {
    let start = std::time::Instant::now();
    let response = try_get(agent, &server.url("/search/rust")).unwrap();
    assert!(start.elapsed() < MAX_WAIT, "{:?}", start.elapsed());
    assert!(matches!(response.status, 200 | 429), "{response:?}");
    response
}

fn is_limited(response: &Response) -> bool {
    response.header("x-ratelimit-limit").is_some()
}

#[test]
fn process_without_file_descriptors_answers_and_reconnects_later() {
    let mut redis = RedisServer::start();
    // actix-web starts one worker for each processor core, and each worker needs a few file descriptors.
    let files = 100 + 20 * thread::available_parallelism().unwrap().get();
    let wrapper = ["sh".into(), "-c".into(), format!("ulimit -n {files}; exec \"$0\"")];
    let server = ExampleServer::quickstart_wrapped(&wrapper, Some(&redis.url()));
    let agent = agent();
    eventually("the server limits requests", || is_limited(&send(&agent, &server)).then_some(()));
    redis.kill();
    eventually("the server stops limiting", || (!is_limited(&send(&agent, &server))).then_some(()));

    // The connections of clients use up all free file descriptors.
    let address = server.url("").replace("http://", "");
    let clients: Vec<_> = (0..2 * files).map(|_| TcpStream::connect(&address)).collect();
    eventually("no file descriptor is free", || {
        send(&agent, &server);
        (server.files() >= files).then_some(())
    });
    redis.restart();
    for _ in 0..20 {
        send(&agent, &server);
    }
    drop(clients);
    eventually("the server limits requests again", || {
        is_limited(&send(&agent, &server)).then_some(())
    });
}

#[tokio::test]
async fn unknown_host_name_is_an_unreachable_server() {
    let checks =
        Checks::with_short_deadline(RateGuard::redis("redis://redis.invalid:6379").prefix("test"));
    checks.wait_for_error(StoreError::Unreachable(None)).await;
    checks.assert_undecided_for(Duration::from_millis(500)).await;
}

#[test]
fn blocked_resolver_costs_at_most_deadline_and_recovers() {
    let Some(resolver) = Resolver::new() else { return };
    let redis = RedisServer::start();
    resolver.set_hanging(true);
    let url = format!("redis://localhost:{}", redis.port());
    let server = ExampleServer::quickstart_wrapped(&resolver.wrapper(), Some(&url));
    let agent = agent();
    eventually("the guard resolves the name more than once", || {
        assert!(!is_limited(&send(&agent, &server)));
        (resolver.waiting_calls() > 1).then_some(())
    });
    // Only an attempt to connect to Redis starts a DNS lookup, and such an attempt lasts one second. An HTTP request
    // must not start a lookup.
    for _ in 0..200 {
        send(&agent, &server);
    }
    assert!(resolver.waiting_calls() < 20, "{}", resolver.waiting_calls());
    resolver.set_hanging(false);
    eventually("the server limits requests", || is_limited(&send(&agent, &server)).then_some(()));
}
