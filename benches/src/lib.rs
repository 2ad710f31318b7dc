//! The library of the benchmark programs in `bin/`.

pub mod bars;
pub mod clients;
pub mod contenders;
pub mod cpu;
pub mod cpu_pinning;
pub mod delay_proxy;
pub mod figures;
pub mod in_memory;
pub mod judge;
pub mod leases;
pub mod load;
pub mod open_loop;
pub mod plain;
pub mod plot;
pub mod precise_sleep;
pub mod redis_bench;
pub mod redis_process;
pub mod redis_target;
pub mod script_bench;
pub mod server_process;
pub mod settings;
pub mod tasks;
#[cfg(feature = "telemetry")]
pub mod telemetry;

use std::{error::Error, net::SocketAddr, time::Duration};

/// A value, or the first error, which ends the measurement.
pub type BenchResult<T = ()> = Result<T, Box<dyn Error>>;

/// The core of the measured process.
pub const MEASURED_CORE: usize = 0;
/// The core of the processes that it works with.
pub const OTHER_CORE: usize = 1;

/// The timeout of calls to Redis, long enough for a loaded machine.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// The number of connections in the deadpool pool and in the pool of the plain port.
pub const POOL_SIZE: usize = 16;

/// A limit that no measurement exceeds: 100,000 units in 100 ms. A log has as many entries as units per window.
pub const GENEROUS: (u32, Duration) = (100_000, Duration::from_millis(100));
/// A limit that no measurement with 100,000 keys exceeds.
pub const GENEROUS_TO_MANY: (u32, Duration) = (10_000, Duration::from_secs(60));
/// A limit that the second request exceeds.
pub const STRICT: (u32, Duration) = (1, Duration::from_secs(3600));

/// The limit of the measurements of accuracy. All limiters support a window of whole seconds.
pub const ACCURACY: (u32, Duration) = (100, Duration::from_secs(2));

/// The limit of the measurements of leases, on four servers.
pub const HOT_KEY: (u32, Duration) = (1000, Duration::from_secs(1));
/// The maximum units of a lease in these measurements.
pub const HOT_KEY_LEASE: u32 = 50;

/// Parses the address that a server prints.
///
/// # Errors
///
/// If the line is not an address.
pub fn address(line: &str) -> BenchResult<SocketAddr> {
    Ok(line.trim().parse().map_err(|_| format!("expected an address, found {line:?}"))?)
}
