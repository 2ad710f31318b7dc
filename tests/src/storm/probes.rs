//! Sends probes to Redis. A probe is a `PING` on a connection without other commands, and measures how long Redis
//! takes to reply. If the machine has too few processors, a reply may be late although neither Redis nor its
//! clients have a fault.

use std::{
    fs,
    io::{BufRead, BufReader, Result, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    thread,
    time::Duration,
};

use super::now;

/// The pause between two probes.
const PAUSE: Duration = Duration::from_millis(10);
/// The minimum duration of a stall in microseconds. A stall is a slow reply to a probe, or a long pause between
/// two probes. If Redis sends no reply for 1.5 times this duration, a server assumes that Redis is silent.
const STALL: u64 = 60_000;
/// The timeout for the reply to a probe.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// A `PING` that was sent to Redis, and its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The time at which the `PING` was sent, in microseconds since 1970.
    pub sent: u64,
    /// The time at which the reply arrived, in microseconds since 1970.
    pub replied: u64,
    /// The CPU time in microseconds that Redis used between `sent` and `replied`; `None` if the system does not
    /// report it.
    pub redis_ran: Option<u64>,
}

/// Sends probes to the Redis server at this port until `stop` is set. `redis` is the process id of that server.
#[must_use]
pub fn probe(port: u16, redis: &AtomicU32, stop: &AtomicBool) -> Vec<Probe> {
    let mut probes = Vec::new();
    let mut connection = None;
    while !stop.load(Relaxed) {
        if connection.is_none() {
            connection = connect(port).ok();
        }
        if let Some(open) = &mut connection {
            let process = redis.load(Relaxed);
            let (sent, ran) = (now(), processor_time(process));
            match ping(open) {
                Ok(()) => {
                    let ran = processor_time(process).zip(ran);
                    let redis_ran = ran.map(|(after, before)| after.saturating_sub(before));
                    probes.push(Probe { sent, replied: now(), redis_ran });
                }
                Err(_) => connection = None,
            }
        }
        thread::sleep(PAUSE);
    }
    probes
}

/// Returns the periods in which the machine gave no CPU time to Redis or to the thread that sends the probes,
/// sorted.
///
/// If Redis used the CPU for at least half of the time until a slow reply, Redis was busy with its clients. Such a
/// slow reply is not a stall.
#[must_use]
pub fn stalls(probes: &[Probe]) -> Vec<(u64, u64)> {
    let is_starved = |probe: &&Probe| {
        let took = probe.replied.saturating_sub(probe.sent);
        took > STALL && probe.redis_ran.is_none_or(|ran| ran < took / 2)
    };
    let slow = probes.iter().filter(is_starved).map(|probe| (probe.sent, probe.replied));
    let pairs = probes.iter().zip(probes.iter().skip(1));
    let gaps = pairs.map(|(one, next)| (one.replied, next.sent));
    let late = gaps.filter(|(from, until)| until.saturating_sub(*from) > STALL);
    let mut stalls: Vec<_> = slow.chain(late).collect();
    stalls.sort_unstable();
    stalls
}

fn connect(port: u16) -> Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port)))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(MAX_WAIT))?;
    Ok(BufReader::new(stream))
}

/// Sends a `PING` and waits for any reply. An error reply is sufficient too, because it shows that Redis replies.
fn ping(connection: &mut BufReader<TcpStream>) -> Result<()> {
    connection.get_mut().write_all(b"PING\r\n")?;
    match connection.read_line(&mut String::new())? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// Returns the CPU time in microseconds that the first thread of a process has used.
fn processor_time(process: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/schedstat")).ok()?;
    let nanos: u64 = stat.split_whitespace().next()?.parse().ok()?;
    Some(nanos / 1_000)
}
