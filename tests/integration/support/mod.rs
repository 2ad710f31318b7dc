//! What the tests stand on.

#[macro_use]
pub mod app;
pub mod artifacts;
pub mod certificates;
pub mod cluster_node;
pub mod fake_redis;
pub mod folder;
pub mod forgeries;
pub mod http_server;
pub mod log_lines;
pub mod lua;
pub mod namespace;
pub mod process;
pub mod proxy;
pub mod redis_cluster;
pub mod redis_server;
pub mod rest_server;
pub mod sentinels;
pub mod server;
pub mod shim;
pub mod wire;

use std::{
    io::{Write, stderr},
    time::{Duration, Instant},
};

/// Far more than anything here takes on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Says that a test cannot be done on this machine, also if nobody asked for the output of tests that pass.
pub fn skipped(why: &str) {
    let _ = writeln!(stderr(), "skipped: {why}");
}
