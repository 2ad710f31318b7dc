//! The quickstart example as the README shows it, over sockets.

use crate::support::{
    process::Quickstart,
    redis_server::{RedisServer, free_port, url},
    server::get,
};

/// Asks six times, in turn, and expects the sixth to be refused.
fn sixth_is_refused(servers: &[&Quickstart]) {
    for request in 0..6_u64 {
        let server = servers[request as usize % servers.len()];
        let answer = get(&server.url("/search?q=rust"));
        assert_eq!(answer.number("x-ratelimit-limit"), 5);
        assert!((1..=60).contains(&answer.number("x-ratelimit-reset")));
        if request < 5 {
            assert_eq!(answer.status, 200);
            assert_eq!(answer.number("x-ratelimit-remaining"), 4 - request);
            assert_eq!(answer.header("retry-after"), None);
        } else {
            assert_eq!(answer.status, 429);
            assert_eq!(answer.number("x-ratelimit-remaining"), 0);
            assert!((1..=60).contains(&answer.number("retry-after")));
        }
    }
}

#[test]
fn the_sixth_search_of_a_minute_is_refused() {
    let server = Quickstart::start(None);
    let index = get(&server.url("/"));
    assert_eq!(index.status, 200);
    assert!(index.body.contains(&format!("curl -i '{}'", server.url("/search?q=rust"))));
    assert_eq!(index.number("x-ratelimit-limit"), 100);
    sixth_is_refused(&[&server]);
    // The other pages go on.
    assert_eq!(get(&server.url("/")).status, 200);
}

#[test]
fn two_servers_on_one_redis_share_the_limit() {
    let redis = RedisServer::start();
    let servers = [0, 1].map(|_| Quickstart::start(Some(&redis.url())));
    sixth_is_refused(&[&servers[0], &servers[1]]);
}

#[test]
fn without_its_redis_it_lets_requests_pass_and_says_so_seldom() {
    let server = Quickstart::start(Some(&url(free_port())));
    for _ in 0..200 {
        let answer = get(&server.url("/search?q=rust"));
        assert_eq!((answer.status, answer.header("x-ratelimit-limit")), (200, None));
    }
    let log = server.log();
    let lines: Vec<_> =
        log.lines().filter(|line| line.contains("no answer from the store")).collect();
    // One for each cause, and 10 seconds have hardly passed.
    assert!((1..=4).contains(&lines.len()), "{log}");
}
