//! A storm is a test that injects faults into Redis, the network and servers while the servers handle load. It then
//! checks the histories that the servers recorded.

pub mod admissions;
pub mod attack;
pub mod bans;
pub mod buckets;
pub mod cached_denials;
pub mod clock;
pub mod clock_step_rules;
pub mod defect;
pub mod denials;
pub mod evidence;
pub mod execution_bounds;
pub mod faults;
pub mod findings;
pub mod fleet;
pub mod held_permits;
pub mod history;
pub mod holders;
pub mod judge;
pub mod leased_windows;
pub mod limits;
pub mod load;
pub mod local;
pub mod options;
pub mod permits;
pub mod probes;
pub mod process_signal;
pub mod process_stats;
pub mod proxy;
pub mod recording_store;
pub mod redis_process;
pub mod report;
pub mod requests;
pub mod samples;
pub mod schedule;
pub mod server_log;
pub mod server_records;
pub mod storm_server;
pub mod unavailability;

use std::{
    thread,
    time::{Duration, Instant, SystemTime},
};

/// A timeout that is longer than any program start or any reply on a loaded machine.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// Returns the microseconds since 1970 on the system clock. All processes on this machine use the same clock, so
/// their times can be compared.
#[must_use]
pub fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_micros() as u64)
}

/// Calls `poll` every 5 ms until it returns a value.
///
/// # Errors
///
/// Returns the elapsed time if `poll` returns no value within `timeout`.
pub fn retry_until<T>(
    timeout: Duration,
    mut poll: impl FnMut() -> Option<T>,
) -> Result<T, Duration> {
    let start = Instant::now();
    loop {
        if let Some(value) = poll() {
            return Ok(value);
        }
        if start.elapsed() > timeout {
            return Err(start.elapsed());
        }
        thread::sleep(Duration::from_millis(5));
    }
}
