//! Tests the example `slow_down` with two servers and a common Redis.

use std::thread;

use crate::support::{eventually, process::ExampleServer, redis_server::RedisServer, server::get};

#[test]
fn servers_of_the_example_let_a_sixth_request_wait() {
    let redis = RedisServer::start();
    let url = redis.url();
    let servers = [(); 2].map(|()| ExampleServer::start("slow_down", &[("REDIS_URL", &url)]));
    // On a busy machine, the six requests may arrive in different seconds, so the test repeats them.
    eventually("a request waits", || {
        let waits: Vec<u32> = thread::scope(|scope| {
            let requests: Vec<_> = (0..6)
                .map(|number| {
                    let url = servers[number % 2].url("/thumbnail");
                    scope.spawn(move || get(&url))
                })
                .collect();
            let responses = requests.into_iter().map(|request| request.join().unwrap());
            responses
                .map(|response| {
                    assert_eq!(response.status, 200);
                    let millis = response.body.split(' ').nth(1).unwrap();
                    millis.parse().unwrap()
                })
                .collect()
        });
        waits.iter().any(|millis| *millis > 0).then_some(())
    });
}
