//! Tests the quickstart example of the README over real connections.

use crate::support::{
    process::ExampleServer,
    redis_server::{RedisServer, free_port, url},
    server::get,
};

/// Sends six requests to these servers in turn, and asserts that the sixth request is rejected.
fn assert_sixth_is_rejected(servers: &[&ExampleServer]) {
    for request in 0..6_u64 {
        let server = servers[request as usize % servers.len()];
        let response = get(&server.url("/search/rust"));
        assert_eq!(response.number("x-ratelimit-limit"), 5);
        assert!((1..=60).contains(&response.number("x-ratelimit-reset")));
        if request < 5 {
            assert_eq!(response.status, 200);
            assert_eq!(response.number("x-ratelimit-remaining"), 4 - request);
            assert_eq!(response.header("retry-after"), None);
        } else {
            assert_eq!(response.status, 429);
            assert_eq!(response.number("x-ratelimit-remaining"), 0);
            assert!((1..=60).contains(&response.number("retry-after")));
        }
    }
}

#[test]
fn sixth_search_per_minute_is_rejected() {
    let server = ExampleServer::quickstart(None);
    let index = get(&server.url("/"));
    assert_eq!(index.status, 200);
    assert!(index.body.contains(&format!("curl -i {}", server.url("/search/rust"))));
    assert_eq!(index.number("x-ratelimit-limit"), 100);
    assert_sixth_is_rejected(&[&server]);
    // The limit must not apply to other pages.
    assert_eq!(get(&server.url("/")).status, 200);
}

#[test]
fn two_servers_on_one_redis_share_the_limit() {
    let redis = RedisServer::start();
    let servers = [0, 1].map(|_| ExampleServer::quickstart(Some(&redis.url())));
    assert_sixth_is_rejected(&[&servers[0], &servers[1]]);
}

#[test]
fn unreachable_redis_fails_open_and_throttles_the_log() {
    let server = ExampleServer::quickstart(Some(&url(free_port())));
    for _ in 0..200 {
        let response = get(&server.url("/search/rust"));
        assert_eq!((response.status, response.header("x-ratelimit-limit")), (200, None));
    }
    let log = server.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("store check failed")).collect();
    // For each cause, the guard logs at most one line in 10 seconds.
    assert!((1..=4).contains(&lines.len()), "{log}");
}
