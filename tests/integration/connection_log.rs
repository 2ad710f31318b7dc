//! Tests the log messages about the connection to Redis. The guard writes these messages at its start, even if no
//! request arrives.

use actix_rateguard::RateGuard;

use crate::support::{
    eventually, log_lines,
    redis_server::{RedisServer, free_port, run},
};

/// Waits until a log line contains all of these texts, and returns this line.
fn line_with(texts: &[&str]) -> String {
    eventually("the message is logged", || {
        log_lines::with(texts[0])
            .into_iter()
            .find(|line| texts.iter().all(|text| line.contains(text)))
    })
}

#[test]
fn failed_connection_is_logged_at_start_with_address_and_cause() {
    log_lines::collect();
    let closed = format!("127.0.0.1:{}", free_port());
    let unresolvable = format!("no-such-host.invalid:{}", free_port());
    let with_password = RedisServer::start();
    run::<()>(&mut with_password.client(), "CONFIG SET requirepass hunter2");
    let secured = format!("127.0.0.1:{}", with_password.port());
    let without_password = RedisServer::start();
    let plain = format!("127.0.0.1:{}", without_password.port());
    for (url, address, cause) in [
        (format!("redis://{closed}"), &closed, "connection refused"),
        (format!("redis://{unresolvable}/2"), &unresolvable, "cannot be resolved"),
        (format!("redis://:Zx9-wrong@{secured}"), &secured, "the user or the password"),
        (format!("{}/99", without_password.url()), &plain, "that the database exists"),
        (format!("redis+cluster://{closed}"), &closed, "connection refused"),
        (format!("redis+sentinel://{closed}/main"), &closed, "connection refused"),
    ] {
        let guard = RateGuard::redis(url).build().unwrap();
        let line = line_with(&[address, cause]);
        assert!(line.starts_with("ERROR failed to connect to Redis at "), "{line}");
        assert!(!line.contains("Zx9-wrong") && !line.contains("hunter2"), "{line}");
        drop(guard);
    }
}

#[test]
fn outage_is_logged_once_and_so_is_its_end() {
    log_lines::collect();
    let mut redis = RedisServer::start();
    let address = format!("127.0.0.1:{}", redis.port());
    let _guard = redis.settings("connection-log").build().unwrap();
    line_with(&[&address, "INFO connected to Redis at "]);
    redis.kill();
    line_with(&[&address, "ERROR failed to connect to Redis at ", "connection refused"]);
    redis.restart();
    eventually("the end of the outage is logged", || {
        (log_lines::with(&address).len() >= 3).then_some(())
    });
    let levels: Vec<String> = log_lines::with(&address)
        .iter()
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(levels, ["INFO", "ERROR", "INFO"]);
}
