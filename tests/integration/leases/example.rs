//! Tests the example `hot_key` over real connections.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    TEST_TIMEOUT,
    process::ExampleServer,
    redis_server::{RedisServer, script_calls},
    server::{agent, try_get},
};

/// The limit of the example, in a second.
const LIMIT: usize = 1_000;

#[test]
fn servers_of_the_example_use_leases_and_respect_the_limit() {
    let redis = RedisServer::start();
    let url = redis.url();
    let servers = [(); 2].map(|()| ExampleServer::start("hot_key", &[("REDIS_URL", &url)]));
    let (agent, started) = (agent(), Instant::now());
    let mut admissions = Vec::new();
    // Leases have admitted requests when there are more admissions than script calls.
    while admissions.len() < 1_200 || script_calls(&redis) as usize > admissions.len() / 2 {
        assert!(started.elapsed() < TEST_TIMEOUT, "{} admissions", admissions.len());
        for server in &servers {
            let sent = Instant::now();
            let response = try_get(&agent, &server.url("/search")).unwrap();
            assert!(matches!(response.status, 200 | 429), "{}", response.status);
            assert_eq!(response.number("x-ratelimit-limit"), LIMIT as u64);
            if response.status == 200 {
                admissions.push((sent, Instant::now()));
            }
        }
        // Far above the limit, no room for a lease would remain.
        thread::sleep(Duration::from_millis(2));
    }
    // An admission certainly belongs to a window if its request and its response do.
    for (first, (start, _)) in admissions.iter().enumerate() {
        let end = *start + Duration::from_secs(1);
        let within = admissions[first..].iter().take_while(|(_, received)| *received < end);
        let count = within.count();
        assert!(count <= LIMIT, "{count} admissions in a second");
    }
}
