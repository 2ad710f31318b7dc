//! The schedule of faults. The same seed always gives the same schedule.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::SmallRng};

/// A fault of Redis, of the network or of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Redis is frozen with SIGSTOP, and resumed.
    Freeze,
    /// Redis is killed, and restarted with its data.
    KillKeepData,
    /// Redis is killed, and restarted without its data.
    KillLoseData,
    /// Redis delays writes (`CLIENT PAUSE … WRITE`).
    PauseWrites,
    /// Redis delays all commands (`CLIENT PAUSE … ALL`).
    PauseAll,
    /// Redis closes all connections and accepts no new ones.
    MaxClients,
    /// Redis closes all connections and requires a password that the servers do not know.
    Password,
    /// The ACL of Redis forbids the servers `EVALSHA` and `EVAL`, or a command that the Lua script uses.
    Acl,
    /// Redis has no memory left.
    Memory,
    /// Redis is busy with a script of another application.
    Busy,
    /// Redis is a replica of an unreachable Redis server.
    Replica,
    /// Redis forgets all scripts (`SCRIPT FLUSH`), repeatedly.
    ScriptFlush,
    /// Redis closes all connections (`CLIENT KILL`), repeatedly.
    ClientKill,
    /// The proxies of half of the servers delay all data.
    Slow,
    /// The proxies of half of the servers forward nothing.
    Stall,
    /// The proxies of half of the servers cut replies in the middle, repeatedly.
    Cut,
    /// The proxies of half of the servers close all connections.
    Closed,
    /// The clock of Redis is stepped backward.
    ClockBack,
    /// The clock of Redis is stepped forward.
    ClockForward,
    /// One client sends as fast as it receives responses, on many connections to all servers.
    Attack,
}

impl Fault {
    /// All faults and their names on the command line.
    pub const ALL: [(&'static str, Self); 20] = [
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

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, fault)| *fault == self).map_or("", |(name, _)| name)
    }

    /// Whether the fault steps the clock of Redis, which needs a C compiler.
    #[must_use]
    pub fn sets_clock(self) -> bool {
        matches!(self, Self::ClockBack | Self::ClockForward)
    }

    /// Whether the fault affects only the network, so a fault of Redis may be combined with it.
    #[must_use]
    pub fn is_network_fault(self) -> bool {
        matches!(self, Self::Slow | Self::Stall | Self::Cut | Self::Closed)
    }
}

/// The minimum duration of an attack. The time until its connections are open is part of this duration.
const MIN_ATTACK: Duration = Duration::from_millis(1_000);

/// One or two faults at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The faults.
    pub faults: Vec<Fault>,
    /// How long the faults last.
    pub duration: Duration,
    /// The pause before the next schedule step.
    pub pause_after: Duration,
    /// A random number that selects the variant of a fault.
    pub random_choice: usize,
}

/// The delays of a slow network in milliseconds, from hardly noticeable to more than the deadline.
const DELAYS: [u64; 5] = [2, 5, 20, 45, 120];
/// The longest delay with which replies arrive well within the deadline. If data arrives while the proxy waits, the
/// proxy delays the data again, so a request and its reply are each delayed up to twice.
const MAX_HARMLESS_DELAY: Duration = Duration::from_millis(5);

impl Step {
    /// The delay that the fault `Slow` adds.
    #[must_use]
    pub fn delay(&self) -> Duration {
        Duration::from_millis(DELAYS[self.random_choice % DELAYS.len()])
    }

    /// Whether this fault of the schedule step makes Redis unavailable to servers.
    ///
    /// Load does not make Redis unavailable. If Redis rejects writes because it is busy or has no memory, the servers
    /// decide in memory, so Redis does not count as unavailable.
    #[must_use]
    pub fn blocks_redis(&self, fault: Fault) -> bool {
        match fault {
            Fault::Attack | Fault::Memory | Fault::Busy | Fault::ScriptFlush => false,
            Fault::Slow => self.delay() > MAX_HARMLESS_DELAY,
            _ => true,
        }
    }

    /// The names of the faults, joined with `+`.
    #[must_use]
    pub fn names(&self) -> String {
        let names: Vec<_> = self.faults.iter().map(|fault| fault.name()).collect();
        names.join("+")
    }
}

/// Returns the endless series of schedule steps for a seed.
pub fn steps(seed: u64, faults: &[Fault]) -> impl Iterator<Item = Step> + use<> {
    let mut random = SmallRng::seed_from_u64(seed);
    let faults = faults.to_vec();
    let network_faults: Vec<Fault> =
        faults.iter().copied().filter(|it| it.is_network_fault()).collect();
    // The faults that are left. Every fault is used once before any fault is repeated.
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
        // An attack on a degraded network is a harder test, so this combination is more frequent.
        let odds = if first == Fault::Attack { 2 } else { 4 };
        if !is_exclusive && !network_faults.is_empty() && random.random_range(0..odds) == 0 {
            faults.push(network_faults[random.random_range(0..network_faults.len())]);
        }
        let mut duration = Duration::from_millis(match random.random_range(0..6) {
            // This duration is longer than any deadline and any backoff.
            0 => 3_000,
            _ => random.random_range(50..1_500),
        });
        if first == Fault::Attack {
            duration = duration.max(MIN_ATTACK);
        }
        Some(Step {
            faults,
            duration,
            pause_after: Duration::from_millis(random.random_range(300..1_500)),
            random_choice: random.random_range(0..1_000),
        })
    })
}
