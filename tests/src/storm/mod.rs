//! A storm: servers under load while one fault after the other befalls their Redis and the way to it, and whether what
//! they have written down of it can be true.

pub mod admissions;
pub mod attack;
pub mod bans;
pub mod buckets;
pub mod clock;
pub mod denials;
pub mod excuses;
pub mod faults;
pub mod history;
pub mod limits;
pub mod load;
pub mod local;
pub mod outages;
pub mod probes;
pub mod proxy;
pub mod redis_process;
pub mod remembered;
pub mod report;
pub mod requests;
pub mod schedule;
pub mod site;
pub mod verdict;
pub mod vitals;

use std::{
    thread,
    time::{Duration, Instant, SystemTime},
};

/// Far more than anything here takes on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Microseconds since 1970, by the clock that a Redis on this machine has, too.
#[must_use]
pub fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_micros() as u64)
}

/// Asks again and again until there is an answer, or says how long that was in vain.
pub fn within<T>(patience: Duration, mut ask: impl FnMut() -> Option<T>) -> Result<T, Duration> {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if start.elapsed() > patience {
            return Err(start.elapsed());
        }
        thread::sleep(Duration::from_millis(5));
    }
}
