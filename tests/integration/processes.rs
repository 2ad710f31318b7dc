//! Tests that several processes on one Redis share one exact limit.

use actix_rateguard::Algorithm;

use crate::support::{process::LoadGenerator, redis_server::RedisServer};

const PROCESSES: usize = 4;
const TASKS: usize = 8;

/// Runs four processes, and returns for each key the number of checks that were admitted in all processes.
fn admitted_by_all(
    server: &RedisServer,
    prefix: &str,
    rate: &str,
    keys: usize,
    checks: usize,
) -> Vec<u64> {
    let mut generators: Vec<LoadGenerator> = (0..PROCESSES)
        .map(|_| LoadGenerator::start(&server.url(), prefix, rate, keys, TASKS, checks))
        .collect();
    generators.iter_mut().for_each(LoadGenerator::go);
    let mut admitted = vec![0; keys];
    for generator in generators {
        let tally = generator.tally();
        assert_eq!(tally.unanswered, 0);
        admitted.iter_mut().zip(tally.admitted).for_each(|(sum, one)| *sum += one);
    }
    admitted
}

#[test]
fn four_processes_admit_the_exact_limit_of_one_key() {
    let server = RedisServer::start();
    for round in 0..3 {
        assert_eq!(admitted_by_all(&server, &format!("round-{round}"), "100/day", 1, 200), [100]);
    }
}

#[test]
fn four_processes_admit_exact_limits_of_sixteen_keys() {
    let server = RedisServer::start();
    assert_eq!(admitted_by_all(&server, "sixteen", "100/day", 16, 400), [100; 16]);
}

#[test]
fn four_processes_admit_exact_limits_with_every_algorithm() {
    let server = RedisServer::start();
    for (_, algorithm) in Algorithm::NAMES {
        let rate = format!("100/365d {algorithm}");
        assert_eq!(admitted_by_all(&server, algorithm, &rate, 1, 100), [100], "{algorithm}");
    }
}

#[test]
fn script_flush_fails_no_check() {
    let server = RedisServer::start();
    let mut client = server.client();
    std::thread::scope(|scope| {
        let load = scope.spawn(|| admitted_by_all(&server, "flush", "100/day", 1, 400));
        while !load.is_finished() {
            let _: () = redis::cmd("SCRIPT").arg("FLUSH").query(&mut client).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        assert_eq!(load.join().unwrap(), [100]);
    });
}

#[test]
fn prefixes_and_databases_have_separate_counts() {
    let server = RedisServer::start();
    for (url, prefix) in
        [(server.url(), "one"), (server.url(), "other"), (format!("{}/3", server.url()), "one")]
    {
        let mut generator = LoadGenerator::start(&url, prefix, "10/day", 1, TASKS, 20);
        generator.go();
        assert_eq!(generator.tally().admitted, [10]);
    }
}
