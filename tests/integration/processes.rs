//! Several processes on one Redis are one limit, exactly.

use rateguard::Algorithm;

use crate::support::{process::Hammer, redis_server::RedisServer};

const PROCESSES: usize = 4;
const TASKS: usize = 8;

/// How many checks of each key were admitted, all processes together.
fn hammer(server: &RedisServer, prefix: &str, rate: &str, keys: usize, checks: usize) -> Vec<u64> {
    let mut hammers: Vec<Hammer> = (0..PROCESSES)
        .map(|_| Hammer::start(&server.url(), prefix, rate, keys, TASKS, checks))
        .collect();
    hammers.iter_mut().for_each(Hammer::go);
    let mut admitted = vec![0; keys];
    for hammer in hammers {
        let tally = hammer.tally();
        assert_eq!(tally.unanswered, 0);
        admitted.iter_mut().zip(tally.admitted).for_each(|(sum, one)| *sum += one);
    }
    admitted
}

#[test]
fn four_processes_admit_exactly_the_limit_of_one_key() {
    let server = RedisServer::start();
    for round in 0..3 {
        assert_eq!(hammer(&server, &format!("round-{round}"), "100/day", 1, 200), [100]);
    }
}

#[test]
fn four_processes_admit_exactly_the_limit_of_each_of_sixteen_keys() {
    let server = RedisServer::start();
    assert_eq!(hammer(&server, "sixteen", "100/day", 16, 400), [100; 16]);
}

#[test]
fn four_processes_admit_exactly_the_limit_by_every_algorithm() {
    let server = RedisServer::start();
    for (_, algorithm) in Algorithm::NAMES {
        let rate = format!("100/365d {algorithm}");
        assert_eq!(hammer(&server, algorithm, &rate, 1, 100), [100], "{algorithm}");
    }
}

#[test]
fn a_flushed_script_cache_fails_no_check() {
    let server = RedisServer::start();
    let mut client = server.client();
    std::thread::scope(|scope| {
        let hammering = scope.spawn(|| hammer(&server, "flush", "100/day", 1, 400));
        while !hammering.is_finished() {
            let _: () = redis::cmd("SCRIPT").arg("FLUSH").query(&mut client).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        assert_eq!(hammering.join().unwrap(), [100]);
    });
}

#[test]
fn guards_of_another_prefix_or_database_have_counts_of_their_own() {
    let server = RedisServer::start();
    for (url, prefix) in
        [(server.url(), "one"), (server.url(), "other"), (format!("{}/3", server.url()), "one")]
    {
        let mut hammer = Hammer::start(&url, prefix, "10/day", 1, TASKS, 20);
        hammer.go();
        assert_eq!(hammer.tally().admitted, [10]);
    }
}
