//! Code that several integration tests use: servers, proxies, clients and helper functions.

#[macro_use]
pub mod app;
pub mod artifacts;
pub mod certificates;
pub mod cluster_node;
pub mod fake_redis;
pub mod folder;
pub mod forgeries;
pub mod log_lines;
pub mod lua;
pub mod namespace;
pub mod nginx;
pub mod process;
pub mod proxy;
pub mod rates;
pub mod redis_cluster;
pub mod redis_server;
pub mod rest_server;
pub mod sentinels;
pub mod server;
pub mod shim;
pub mod websocket;
pub mod wire;

pub use rateguard_tests::upstash::http_server;

use std::{
    io::{Write, stderr},
    time::{Duration, Instant},
};

/// The timeout of each wait in a test. It is long enough for a busy machine.
pub const TEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Calls `poll` every 10 ms until it returns a value. Panics after [`TEST_TIMEOUT`].
pub fn eventually<T>(condition: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = poll() {
            return value;
        }
        assert!(start.elapsed() < TEST_TIMEOUT, "timed out waiting for: {condition}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Calls the async function `poll` every 20 ms until it returns a value. Panics after [`TEST_TIMEOUT`].
pub async fn eventually_async<T>(condition: &str, mut poll: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = poll().await {
            return value;
        }
        assert!(start.elapsed() < TEST_TIMEOUT, "timed out waiting for: {condition}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Reports that a test cannot run on this machine.
///
/// The message is written directly to stderr, because the test runner would capture the output of `eprintln!`.
pub fn skipped(reason: &str) {
    let _ = writeln!(stderr(), "skipped: {reason}");
}
