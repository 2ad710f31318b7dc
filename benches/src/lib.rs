//! What the programs that measure share; they are in `bin/`.

pub mod clients;
pub mod contenders;
pub mod cpu;
pub mod figures;
pub mod in_memory;
pub mod load;
pub mod on_redis;
pub mod pinned;
pub mod plain;
pub mod plot;
pub mod redis_process;
#[cfg(feature = "seeing")]
pub mod seen;
pub mod settings;
pub mod tasks;

use std::{error::Error, net::SocketAddr, time::Duration};

/// Whoever measures gives up at the first thing that is not as it should be.
pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Which core runs what is measured.
pub const MEASURED_CORE: usize = 0;
/// Which core runs what it works with.
pub const OTHER_CORE: usize = 1;

/// How long whoever asks Redis waits for it: a busy machine is no failure here.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How many connections the usual pool has, and the plain port's.
pub const POOL_SIZE: usize = 16;

/// At most so much in a window so long, which nothing here exceeds: as many entries are in a log as come in the window.
pub const GENEROUS: (u32, Duration) = (100_000, Duration::from_millis(100));
/// The same for a hundred thousand keys, of which each comes seldom.
pub const GENEROUS_TO_MANY: (u32, Duration) = (10_000, Duration::from_secs(60));
/// What is exceeded at once.
pub const STRICT: (u32, Duration) = (1, Duration::from_secs(3600));

/// The address that a server says it has.
///
/// # Errors
///
/// If it says something else.
pub fn address(line: &str) -> Outcome<SocketAddr> {
    Ok(line.trim().parse().map_err(|_| format!("no address: {line:?}"))?)
}
