//! The schedule of the faults in a storm, which is a test that injects random faults. The same seed always gives
//! the same schedule.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::SmallRng};

/// A fault of Redis, of the network or of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Redis is frozen with SIGSTOP, and resumed at the end of the fault.
    Freeze,
    /// Redis is killed, and restarted with its data at the end of the fault.
    KillKeepData,
    /// Redis is killed, and restarted without its data at the end of the fault.
    KillLoseData,
    /// Redis delays all write commands (`CLIENT PAUSE … WRITE`).
    PauseWrites,
    /// Redis delays all commands (`CLIENT PAUSE … ALL`).
    PauseAll,
    /// Redis closes all connections and accepts no new connections.
    MaxClients,
    /// Redis closes all connections, and then requires a password that the servers do not have.
    Password,
    /// The ACL of Redis forbids the servers to run `EVALSHA` and `EVAL`, or a command that the Lua script uses.
    Acl,
    /// Redis has no free memory.
    Memory,
    /// Redis is busy because it runs a script of another application.
    Busy,
    /// Redis becomes a replica of a Redis server that cannot be reached.
    Replica,
    /// Redis is killed, and a replica takes over at its address at the end of the fault. The last writes are lost.
    Failover,
    /// One of the application servers is killed with SIGKILL, and started again at the end of the fault.
    ServerKill,
    /// One of the application servers is stopped with SIGSTOP for longer than a lease, and resumed.
    ServerStop,
    /// Redis forgets all scripts (`SCRIPT FLUSH`), repeatedly.
    ScriptFlush,
    /// Redis closes all connections (`CLIENT KILL`), repeatedly.
    ClientKill,
    /// The proxies, through which half of the servers connect, delay all data.
    Slow,
    /// The proxies, through which half of the servers connect, forward no data.
    Stall,
    /// The proxies, through which half of the servers connect, repeatedly cut replies in the middle.
    Cut,
    /// The proxies, through which half of the servers connect, close all connections.
    Closed,
    /// The clock of Redis is stepped backward.
    ClockBack,
    /// The clock of Redis is stepped forward.
    ClockForward,
    /// One client sends requests on many connections to all servers. On each connection, it sends the next request as
    /// soon as it receives a response.
    Attack,
}

impl Fault {
    /// All faults, each with its name on the command line.
    pub const ALL: [(&'static str, Self); 23] = [
        ("freeze", Self::Freeze),
        ("kill-keep-data", Self::KillKeepData),
        ("kill-lose-data", Self::KillLoseData),
        ("pause-writes", Self::PauseWrites),
        ("pause-all", Self::PauseAll),
        ("max-clients", Self::MaxClients),
        ("password", Self::Password),
        ("acl", Self::Acl),
        ("memory", Self::Memory),
        ("busy", Self::Busy),
        ("replica", Self::Replica),
        ("failover", Self::Failover),
        ("server-kill", Self::ServerKill),
        ("server-stop", Self::ServerStop),
        ("script-flush", Self::ScriptFlush),
        ("client-kill", Self::ClientKill),
        ("slow", Self::Slow),
        ("stall", Self::Stall),
        ("cut", Self::Cut),
        ("closed", Self::Closed),
        ("clock-back", Self::ClockBack),
        ("clock-forward", Self::ClockForward),
        ("attack", Self::Attack),
    ];

    /// The name of the fault on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, fault)| *fault == self).map_or("", |(name, _)| name)
    }

    /// Returns whether the fault steps the clock of Redis. Clock steps need a C compiler.
    #[must_use]
    pub fn sets_clock(self) -> bool {
        matches!(self, Self::ClockBack | Self::ClockForward)
    }

    /// Returns whether the fault closes connections to Redis, so that the servers must connect again.
    #[must_use]
    pub fn closes_connections(self) -> bool {
        match self {
            Self::KillKeepData
            | Self::KillLoseData
            | Self::Failover
            | Self::MaxClients
            | Self::Password
            | Self::Replica
            | Self::ClientKill
            | Self::Cut
            | Self::Closed => true,
            Self::Freeze
            | Self::PauseWrites
            | Self::PauseAll
            | Self::Acl
            | Self::Memory
            | Self::Busy
            | Self::ServerKill
            | Self::ServerStop
            | Self::ScriptFlush
            | Self::Slow
            | Self::Stall
            | Self::ClockBack
            | Self::ClockForward
            | Self::Attack => false,
        }
    }

    /// Returns whether the fault affects one application server instead of Redis.
    #[must_use]
    pub fn is_server_fault(self) -> bool {
        matches!(self, Self::ServerKill | Self::ServerStop)
    }

    /// Returns whether the fault affects only the network. Such a fault can be combined with a fault of Redis.
    #[must_use]
    pub fn is_network_fault(self) -> bool {
        matches!(self, Self::Slow | Self::Stall | Self::Cut | Self::Closed)
    }
}

/// The minimum duration of an attack, including the time in which its connections are opened.
const MIN_ATTACK: Duration = Duration::from_millis(1_000);
/// The minimum duration for which a server is stopped. It is longer than each lease of [`super::limits::LIMITS`].
const MIN_STOP: Duration = Duration::from_millis(1_300);

/// A step of the schedule: one fault, or two faults at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The faults of the step.
    pub faults: Vec<Fault>,
    /// The duration of the faults.
    pub duration: Duration,
    /// The pause between this step and the next step.
    pub pause_after: Duration,
    /// A random number that selects the variant of a fault, such as the length of a delay.
    pub random_choice: usize,
}

/// The delays of a slow network in milliseconds. The shortest delay has almost no effect, and the longest delay
/// exceeds the deadline of a check.
const DELAYS: [u64; 5] = [2, 5, 20, 45, 120];
/// The lags of replication before a failover, in milliseconds.
const REPLICATION_LAGS: [u64; 3] = [0, 50, 250];
/// The longest delay that does not make Redis unavailable. Data that arrives while the proxy is already waiting is
/// delayed twice. Therefore a request and its reply are each delayed by at most twice this duration, and the reply
/// still arrives within the deadline.
const MAX_HARMLESS_DELAY: Duration = Duration::from_millis(5);

impl Step {
    /// Returns the delay that the fault `Slow` adds.
    #[must_use]
    pub fn delay(&self) -> Duration {
        Duration::from_millis(DELAYS[self.random_choice % DELAYS.len()])
    }

    /// Returns the index of the server that the step kills or stops.
    #[must_use]
    pub fn server(&self, servers: usize) -> usize {
        self.random_choice % servers
    }

    /// Returns the time for which the old primary accepts writes after the replica has its last write.
    #[must_use]
    pub fn replication_lag(&self) -> Duration {
        Duration::from_millis(REPLICATION_LAGS[self.random_choice % REPLICATION_LAGS.len()])
    }

    /// Returns whether this fault of the schedule step makes Redis unavailable to the servers.
    ///
    /// An attack does not make Redis unavailable. If Redis rejects writes because it is busy or has no free
    /// memory, Redis also counts as available, because the servers then decide in memory.
    #[must_use]
    pub fn blocks_redis(&self, fault: Fault) -> bool {
        match fault {
            Fault::Attack | Fault::Memory | Fault::Busy | Fault::ScriptFlush => false,
            Fault::Slow => self.delay() > MAX_HARMLESS_DELAY,
            _ => true,
        }
    }

    /// Returns the names of the faults, joined with `+`.
    #[must_use]
    pub fn names(&self) -> String {
        let names: Vec<_> = self.faults.iter().map(|fault| fault.name()).collect();
        names.join("+")
    }
}

/// Returns the endless schedule that this seed gives.
pub fn steps(seed: u64, faults: &[Fault]) -> impl Iterator<Item = Step> + use<> {
    let mut random = SmallRng::seed_from_u64(seed);
    let faults = faults.to_vec();
    let network_faults: Vec<Fault> =
        faults.iter().copied().filter(|it| it.is_network_fault()).collect();
    // The faults that have not been used yet. Each fault is used once before any fault is used again.
    let mut left: Vec<Fault> = Vec::new();
    std::iter::from_fn(move || {
        if left.is_empty() {
            left.clone_from(&faults);
        }
        if left.is_empty() {
            return None;
        }
        let first = left.swap_remove(random.random_range(0..left.len()));
        let mut faults = vec![first];
        let is_exclusive = first.is_network_fault() || first.sets_clock();
        // An attack during a network fault is a harder test, so a network fault is added more often to an attack
        // than to other faults.
        let odds = if first == Fault::Attack { 2 } else { 4 };
        if !is_exclusive && !network_faults.is_empty() && random.random_range(0..odds) == 0 {
            faults.push(network_faults[random.random_range(0..network_faults.len())]);
        }
        let mut duration = Duration::from_millis(match random.random_range(0..6) {
            // This duration is longer than any deadline and any reconnect backoff.
            0 => 3_000,
            _ => random.random_range(50..1_500),
        });
        if first == Fault::Attack {
            duration = duration.max(MIN_ATTACK);
        }
        if first == Fault::ServerStop {
            duration = duration.max(MIN_STOP);
        }
        Some(Step {
            faults,
            duration,
            pause_after: Duration::from_millis(random.random_range(300..1_500)),
            random_choice: random.random_range(0..1_000),
        })
    })
}
