//! Which faults come when: the same for the same seed.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::SmallRng};

/// What befalls Redis or the way to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It is stopped in the middle of whatever it does, and goes on later.
    Freeze,
    /// It is killed, and comes back with all that it has said.
    KillKept,
    /// It is killed, and comes back with nothing.
    KillEmpty,
    /// It takes no writes for a while.
    PauseWrites,
    /// It does nothing for a while.
    PauseAll,
    /// It ends all connections and takes no new ones.
    MaxClients,
    /// It ends all connections and wants a password that nobody has.
    Password,
    /// It no longer runs scripts for the servers, or a command in them.
    Right,
    /// It has no memory left.
    Memory,
    /// It is busy with somebody else's script.
    Busy,
    /// It is a replica of a server that is not there.
    Replica,
    /// It forgets the script again and again.
    ScriptFlush,
    /// It ends all connections again and again.
    ClientKill,
    /// The way of half of the servers is slow.
    Slow,
    /// The way of half of the servers stands still.
    Still,
    /// On the way of half of the servers replies break off in their middle, again and again.
    Cut,
    /// The way of half of the servers is closed.
    Closed,
    /// Its clock is set back.
    ClockBack,
    /// Its clock is set forward.
    ClockForward,
    /// One client sends as fast as it gets responses, on many connections to all servers.
    Attack,
}

impl Fault {
    /// All of them, with the word for each.
    pub const ALL: [(&'static str, Self); 20] = [
        ("freeze", Self::Freeze),
        ("kill-kept", Self::KillKept),
        ("kill-empty", Self::KillEmpty),
        ("pause-writes", Self::PauseWrites),
        ("pause-all", Self::PauseAll),
        ("max-clients", Self::MaxClients),
        ("password", Self::Password),
        ("right", Self::Right),
        ("memory", Self::Memory),
        ("busy", Self::Busy),
        ("replica", Self::Replica),
        ("script-flush", Self::ScriptFlush),
        ("client-kill", Self::ClientKill),
        ("slow", Self::Slow),
        ("still", Self::Still),
        ("cut", Self::Cut),
        ("closed", Self::Closed),
        ("clock-back", Self::ClockBack),
        ("clock-forward", Self::ClockForward),
        ("attack", Self::Attack),
    ];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, fault)| *fault == self).map_or("", |(word, _)| word)
    }

    /// Whether it sets the clock, for which a C compiler is needed.
    #[must_use]
    pub fn is_of_the_clock(self) -> bool {
        matches!(self, Self::ClockBack | Self::ClockForward)
    }

    /// Whether it is one of the way to Redis, so that it may come at once with one of Redis itself.
    #[must_use]
    pub fn is_of_the_way(self) -> bool {
        matches!(self, Self::Slow | Self::Still | Self::Cut | Self::Closed)
    }
}

/// An attack lasts at least this long, so that there is one after its connections are open.
const SHORTEST_ATTACK: Duration = Duration::from_millis(1_000);

/// One or two faults at once, for a while, and the calm after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What comes.
    pub faults: Vec<Fault>,
    /// For how long.
    pub lasts: Duration,
    /// How long nothing comes after it.
    pub calm: Duration,
    /// A number at random for what there is to choose yet.
    pub choice: usize,
}

/// How late a slow network passes on what is sent, in milliseconds: from hardly noticeable to longer than any check waits.
const DELAYS: [u64; 5] = [2, 5, 20, 45, 120];
/// With a delay up to this, replies come well within the deadline: a request and its reply each wait for at most two delays, as
/// what is sent during one is passed on after the next.
const MAX_HARMLESS_DELAY: Duration = Duration::from_millis(5);

impl Step {
    /// How late a slow network passes on what is sent.
    #[must_use]
    pub fn delay(&self) -> Duration {
        Duration::from_millis(DELAYS[self.choice % DELAYS.len()])
    }

    /// Whether this fault of the step keeps servers from answers of Redis. Load does not, nor does a server that rejects writes
    /// because it has no memory or is busy: then servers decide in memory.
    #[must_use]
    pub fn is_outage(&self, fault: Fault) -> bool {
        match fault {
            Fault::Attack | Fault::Memory | Fault::Busy | Fault::ScriptFlush => false,
            Fault::Slow => self.delay() > MAX_HARMLESS_DELAY,
            _ => true,
        }
    }

    /// Its faults in words.
    #[must_use]
    pub fn words(&self) -> String {
        let words: Vec<_> = self.faults.iter().map(|fault| fault.word()).collect();
        words.join("+")
    }
}

/// The steps of a storm, without an end.
pub fn steps(seed: u64, faults: &[Fault]) -> impl Iterator<Item = Step> + use<> {
    let mut random = SmallRng::seed_from_u64(seed);
    let faults = faults.to_vec();
    let of_the_way: Vec<Fault> = faults.iter().copied().filter(|it| it.is_of_the_way()).collect();
    // Every fault comes once before one comes again.
    let mut left: Vec<Fault> = Vec::new();
    std::iter::from_fn(move || {
        if left.is_empty() {
            left.clone_from(&faults);
        }
        if left.is_empty() {
            return None;
        }
        let first = left.swap_remove(random.random_range(0..left.len()));
        let mut together = vec![first];
        let is_alone = first.is_of_the_way() || first.is_of_the_clock();
        // An attack is the more of a test the less the network can carry.
        let odds = if first == Fault::Attack { 2 } else { 4 };
        if !is_alone && !of_the_way.is_empty() && random.random_range(0..odds) == 0 {
            together.push(of_the_way[random.random_range(0..of_the_way.len())]);
        }
        let mut lasts = Duration::from_millis(match random.random_range(0..6) {
            // Until everybody has given up, and tried anew.
            0 => 3_000,
            _ => random.random_range(50..1_500),
        });
        if first == Fault::Attack {
            lasts = lasts.max(SHORTEST_ATTACK);
        }
        Some(Step {
            faults: together,
            lasts,
            calm: Duration::from_millis(random.random_range(300..1_500)),
            choice: random.random_range(0..1_000),
        })
    })
}
