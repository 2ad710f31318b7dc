//! The data of a storm that the judge checks: the histories of the servers, and the events of the store. A storm is a
//! test that injects random faults.

use super::{
    clock::Setting,
    history::{PermitPoll, Request, StoreCall},
    limits::SERVERS,
    samples::Samples,
    schedule::Fault,
};

/// The history of one process of a server.
#[derive(Debug)]
pub struct History {
    /// The index of the server. A server that is killed and started again has several histories.
    pub server: usize,
    /// The number of servers that share the limits.
    pub servers: usize,
    /// The failure mode: `open`, `closed` or `local`.
    pub mode: &'static str,
    /// Whether the server connects to Redis through a proxy.
    pub is_proxied: bool,
    /// The time at which the process was killed, in microseconds since 1970. `None` if it was not killed.
    pub killed_at: Option<u64>,
    /// The periods in which Redis could not reply because the machine gave Redis no CPU time, sorted by time.
    pub stalls: Vec<(u64, u64)>,
    /// The calls that the server made to the store.
    pub calls: Vec<StoreCall>,
    /// The HTTP requests that the server received.
    pub requests: Vec<Request>,
    /// The polls of handlers, which test whether their permits are still valid.
    pub polls: Vec<PermitPoll>,
}

impl Default for History {
    fn default() -> Self {
        Self {
            server: 0,
            servers: SERVERS,
            mode: "open",
            is_proxied: false,
            killed_at: None,
            stalls: Vec::new(),
            calls: Vec::new(),
            requests: Vec::new(),
            polls: Vec::new(),
        }
    }
}

/// Events of the store that the servers cannot observe directly. Times are in microseconds since 1970.
#[derive(Clone, Debug, Default)]
pub struct StoreEvents {
    /// The times at which the store lost all data.
    pub losses: Vec<u64>,
    /// The failovers. Before the first time, the replica had all writes. At the second time, the old primary was
    /// killed. The writes between these times may be lost.
    pub failovers: Vec<(u64, u64)>,
    /// All times at which the test set the store's clock forward or back.
    pub settings: Vec<Setting>,
    /// All injected faults.
    pub faults: Vec<FaultPeriod>,
    /// The samples of Redis.
    pub samples: Samples,
}

impl StoreEvents {
    /// Returns the times at which a bucket may begin to admit its full limit again, because the store lost its data
    /// or its clock was stepped forward.
    pub(super) fn epoch_starts(&self) -> Vec<u64> {
        let mut starts = self.losses.clone();
        starts.extend(self.clock_steps(|before, after| before < after));
        starts.sort_unstable();
        starts
    }

    /// Returns the times at which the store lost data, or its clock was stepped forward, including failovers.
    pub(super) fn epoch_starts_and_failovers(&self) -> Vec<u64> {
        let mut starts = self.epoch_starts();
        starts.extend(self.failovers.iter().map(|(_, killed)| *killed));
        starts.sort_unstable();
        starts
    }

    /// Returns whether a failover may have lost a write of this time.
    #[must_use]
    pub fn may_lose(&self, at: u64) -> bool {
        self.failovers.iter().any(|(from, killed)| (*from..=*killed).contains(&at))
    }

    /// Returns the times of all backward clock steps.
    pub(super) fn set_back(&self) -> Vec<u64> {
        self.clock_steps(|before, after| before > after)
    }

    /// Returns the times of the clock steps that `is_selected` accepts. The arguments of `is_selected` are the old
    /// and the new offset of the clock.
    fn clock_steps(&self, is_selected: impl Fn(i64, i64) -> bool) -> Vec<u64> {
        let mut before = 0;
        let mut times = Vec::new();
        for Setting { at, ahead } in &self.settings {
            if is_selected(before, *ahead) {
                times.push(*at);
            }
            before = *ahead;
        }
        times
    }
}

/// A period in which a fault was active. Times are in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultPeriod {
    /// The fault that was active.
    pub fault: Fault,
    /// Whether the fault makes Redis unavailable to servers.
    pub blocks_redis: bool,
    /// The index of the only server that the fault affects. `None` if it can affect all servers.
    pub server: Option<usize>,
    /// The time at which the fault began.
    pub from: u64,
    /// The time at which the fault ended.
    pub until: u64,
}
