//! The victims of an attack. Victims are clients whose addresses the attack does not use. They send requests slowly
//! and within their limits.

use std::{
    net::{Ipv4Addr, SocketAddr},
    thread,
    time::{Duration, Instant},
};

use tokio::time::timeout;

use super::{
    AttackResult, TIMEOUT,
    http1::Connection,
    request::{Addresses, Request},
};

/// The number of victims that send requests at the same time.
const VICTIMS: u32 = 8;
/// The time between two requests of one victim. All victims together send 50 requests per second.
const INTERVAL: Duration = Duration::from_millis(160);
/// A request without a response after this time counts as lost.
const LOST_AFTER: Duration = Duration::from_secs(5);

/// Sends the requests of the victims.
///
/// When a victim has used up its limit, the victim continues with the next unused address.
#[derive(Debug)]
pub struct Victims {
    servers: Vec<SocketAddr>,
    allowance: u64,
    next_address: u32,
}

/// The statistics of the victims' requests.
#[derive(Clone, Debug, Default)]
pub struct VictimStats {
    /// The latencies in microseconds, sorted.
    pub micros: Vec<u32>,
    /// The number of requests that a limit denied, or that the guard rejected without a decision.
    pub rejected: u64,
    /// The number of requests that passed without rate limit headers. No limit made a decision on these requests.
    pub unchecked: u64,
    /// The number of requests without a response.
    pub lost: u64,
}

impl Victims {
    /// Creates victims. A victim sends at most `allowance` requests from one address.
    #[must_use]
    pub fn new(servers: Vec<SocketAddr>, allowance: u64) -> Self {
        // The attack uses the address 127.0.0.1, so the victims begin with the next address.
        Self { servers, allowance, next_address: Ipv4Addr::LOCALHOST.to_bits() + 1 }
    }

    /// Sends requests from new addresses until each server has made a decision.
    ///
    /// Right after its start, a server may not have a connection to Redis yet.
    ///
    /// # Errors
    ///
    /// Returns an error if a server makes no decision within the timeout.
    pub fn warm_up(&mut self) -> AttackResult {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let request = Request::new(Addresses::Peer, "");
        let start = Instant::now();
        for server in self.servers.clone() {
            loop {
                self.next_address += 1;
                let from = Ipv4Addr::from_bits(self.next_address - 1);
                let response = runtime.block_on(async {
                    Connection::open(from, server).await?.send(request.bytes()).await
                })?;
                if response.is_decided {
                    break;
                }
                if start.elapsed() > TIMEOUT {
                    return Err("a server has no decision before the attack".into());
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// Sends the requests of all victims for this duration.
    ///
    /// # Errors
    ///
    /// Returns an error if the runtime cannot be created.
    pub fn send(&mut self, duration: Duration) -> AttackResult<VictimStats> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let addresses = duration.as_millis().div_ceil(INTERVAL.as_millis()) as u32 + 1;
        let first = self.next_address;
        self.next_address += VICTIMS * addresses;
        let all = (0..VICTIMS).map(|victim| {
            let server = self.servers[victim as usize % self.servers.len()];
            let addresses = first + victim * addresses..first + (victim + 1) * addresses;
            send(server, addresses, self.allowance, INTERVAL / VICTIMS * victim, duration)
        });
        let mut sum = VictimStats::default();
        for one in runtime.block_on(futures_util::future::join_all(all)) {
            sum.micros.extend(one.micros);
            sum.rejected += one.rejected;
            sum.unchecked += one.unchecked;
            sum.lost += one.lost;
        }
        sum.micros.sort_unstable();
        Ok(sum)
    }
}

impl VictimStats {
    /// Whether every request was admitted by the decision of a limit.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.rejected + self.unchecked + self.lost == 0
    }

    /// Returns the latency that this percentage of the requests does not exceed.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.micros.len() * percent).div_ceil(100).saturating_sub(1);
        Duration::from_micros(self.micros.get(rank).copied().unwrap_or(0).into())
    }
}

async fn send(
    server: SocketAddr,
    mut addresses: std::ops::Range<u32>,
    allowance: u64,
    offset: Duration,
    duration: Duration,
) -> VictimStats {
    let request = Request::new(Addresses::Peer, "");
    let mut stats = VictimStats::default();
    let mut connection = None;
    let mut left = 0;
    let start = tokio::time::Instant::now() + offset;
    let mut ticks = tokio::time::interval_at(start, INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    while ticks.tick().await < start + duration {
        if left == 0 || connection.is_none() {
            let from = Ipv4Addr::from_bits(addresses.next().unwrap_or(addresses.end));
            let opened = timeout(LOST_AFTER, Connection::open(from, server)).await;
            connection = opened.ok().and_then(Result::ok);
            left = allowance;
        }
        let Some(open) = &mut connection else {
            stats.lost += 1;
            continue;
        };
        left -= 1;
        let sent = Instant::now();
        match timeout(LOST_AFTER, open.send(request.bytes())).await {
            Ok(Ok(response)) => {
                stats.micros.push(sent.elapsed().as_micros() as u32);
                stats.rejected += u64::from(response.status != 200);
                stats.unchecked += u64::from(response.status == 200 && !response.is_decided);
            }
            _ => {
                stats.lost += 1;
                connection = None;
            }
        }
    }
    stats
}
