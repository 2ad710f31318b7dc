//! The clients of a storm whose requests hold permits, and those that use a hot key. A storm is a test that injects
//! random faults.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::{
    fleet::ServerAddress,
    limits::{CLIENT, HOLD, HOLDING},
    load::{CLIENTS, Client, ResponseStats, client},
    now,
};

/// The duration of a long request in milliseconds. It is longer than ten leases of each permit.
pub const LONG_HOLD: u64 = 10_200;

/// The pause after a denied request.
const RETRY_AFTER: Duration = Duration::from_millis(60);

/// Sends requests that hold permits to the server at this address until `stop` is set. A long request only begins if it
/// can end before the time `end`. The first request is long if `begins_long` is true.
#[must_use]
pub fn hold(
    address: &ServerAddress,
    seed: u64,
    begins_long: bool,
    end: Instant,
    stop: &AtomicBool,
) -> ResponseStats {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut stats = ResponseStats::default();
    let mut connection = Client::of(address);
    let mut is_first = begins_long;
    while !stop.load(Relaxed) {
        let path = HOLDING[random.random_range(0..HOLDING.len())];
        let client = client(random.random_range(0..CLIENTS));
        let has_time = Instant::now() + Duration::from_millis(LONG_HOLD) < end;
        let hold = match random.random_range(0..100) {
            _ if is_first && has_time => LONG_HOLD,
            0..8 if has_time => LONG_HOLD,
            0..30 => random.random_range(300..2_000),
            _ => random.random_range(0..250),
        };
        let lines = format!("{CLIENT}: {client}\r\n{HOLD}: {hold}\r\n");
        let response = connection.get(path, &lines, &mut stats);
        is_first = is_first && !matches!(response, Some((200, _)));
        let pause = if matches!(response, Some((200, _))) { Duration::ZERO } else { RETRY_AFTER };
        thread::sleep(pause.mul_f64(random.random_range(0.5..1.5)));
    }
    stats
}

/// All hot keys are busy at the same time for this part of a period, and then idle until all their units have expired.
/// So the next leases are large again.
const BUSY: Duration = Duration::from_millis(2_300);
const PERIOD: Duration = Duration::from_millis(3_700);

/// Sends requests for the hot key to the server at this address until `stop` is set. `pause` is the mean pause between
/// two requests.
#[must_use]
pub fn use_hot_key(
    address: &ServerAddress,
    seed: u64,
    pause: Duration,
    stop: &AtomicBool,
) -> ResponseStats {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut stats = ResponseStats::default();
    let mut connection = Client::of(address);
    let lines = format!("{CLIENT}: {}\r\n", client(0));
    while !stop.load(Relaxed) {
        if u128::from(now()) % PERIOD.as_micros() < BUSY.as_micros()
            && let Some((_, latency)) = connection.get("/hot", &lines, &mut stats)
        {
            stats.micros.push(latency.as_micros() as u32);
        }
        thread::sleep(pause.mul_f64(random.random_range(0.5..1.5)));
    }
    stats
}
