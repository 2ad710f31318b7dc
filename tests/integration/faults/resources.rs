//! A machine that is short of files, or whose resolver fails or hangs.

use std::{net::TcpStream, thread, time::Duration};

use rateguard::{RateGuard, StoreError};

use super::checks::{AT_MOST, Checks};
use crate::support::{
    eventually,
    process::Quickstart,
    redis_server::RedisServer,
    server::{Answer, agent, try_get},
    shim::Resolver,
};

/// Asks on a connection that is kept, and is answered in time.
fn ask(agent: &ureq::Agent, server: &Quickstart) -> Answer {
    let start = std::time::Instant::now();
    let answer = try_get(agent, &server.url("/search?q=rust")).unwrap();
    assert!(start.elapsed() < AT_MOST, "{:?}", start.elapsed());
    assert!(matches!(answer.status, 200 | 429), "{answer:?}");
    answer
}

fn is_limited(answer: &Answer) -> bool {
    answer.header("x-ratelimit-limit").is_some()
}

#[test]
fn a_process_without_files_answers_and_connects_again_when_it_has_some() {
    let mut redis = RedisServer::start();
    // actix-web takes a few for each worker, of which there is one for each core.
    let files = 100 + 20 * thread::available_parallelism().unwrap().get();
    let within = ["sh".into(), "-c".into(), format!("ulimit -n {files}; exec \"$0\"")];
    let server = Quickstart::start_within(&within, Some(&redis.url()));
    let agent = agent();
    eventually("it is limited", || is_limited(&ask(&agent, &server)).then_some(()));
    redis.kill();
    eventually("it is not", || (!is_limited(&ask(&agent, &server))).then_some(()));

    // Clients take all that there are.
    let address = server.url("").replace("http://", "");
    let clients: Vec<_> = (0..2 * files).map(|_| TcpStream::connect(&address)).collect();
    eventually("it has no more", || {
        ask(&agent, &server);
        (server.files() >= files).then_some(())
    });
    redis.restart();
    for _ in 0..20 {
        ask(&agent, &server);
    }
    drop(clients);
    eventually("it is limited again", || is_limited(&ask(&agent, &server)).then_some(()));
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_a_server_that_cannot_be_reached() {
    let checks = Checks::many(RateGuard::redis("redis://redis.invalid:6379"));
    checks.lost(StoreError::Unreachable).await;
    checks.stay_lost(Duration::from_millis(500)).await;
}

#[test]
fn a_resolver_that_hangs_costs_no_more_than_the_deadline_and_is_used_again() {
    let Some(resolver) = Resolver::new() else { return };
    let redis = RedisServer::start();
    resolver.hangs(true);
    let url = format!("redis://localhost:{}", redis.port());
    let server = Quickstart::start_within(&resolver.within(), Some(&url));
    let agent = agent();
    eventually("it is tried more than once", || {
        assert!(!is_limited(&ask(&agent, &server)));
        (resolver.waiting() > 1).then_some(())
    });
    // Each attempt is given a second; nobody asks the resolver for a name for every request.
    for _ in 0..200 {
        ask(&agent, &server);
    }
    assert!(resolver.waiting() < 20, "{}", resolver.waiting());
    resolver.hangs(false);
    eventually("it is limited", || is_limited(&ask(&agent, &server)).then_some(()));
}
