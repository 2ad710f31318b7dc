//! The state of one permit: at its holder, on the server, and in the messages between them.

use super::config::{Config, Variant};

/// The state of a permit at the process that requested it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// The id is not used yet.
    #[default]
    New,
    /// The process sent the acquire request and has no reply.
    Waiting,
    /// The process has the permit.
    Holding {
        /// The time since the process sent its last successful request, by its own clock, at most the lease.
        age: u8,
    },
    /// The process released the permit, gave up the request, learned that the permit expired, or crashed.
    Ended {
        /// The time since then.
        since: u8,
        /// True if the process crashed.
        crashed: bool,
    },
}

/// The entry of a permit on the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entry {
    /// The server has no entry.
    #[default]
    Absent,
    /// The entry counts.
    Live {
        /// The time until the expiry, at least one tick.
        left: u8,
        /// True if an operator forbade further renewals.
        revoked: bool,
    },
    /// The entry is expired, and no request has removed it yet.
    Expired,
}

/// A request that was sent, or its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Message {
    /// The time since the process sent the request, by the clock of the process, at most the lease.
    pub age: u8,
    /// Where the message is.
    pub phase: Phase,
}

/// Tells where a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// The request is on its way to the server.
    Request,
    /// The server executed the request; the reply is on its way.
    Success,
    /// The server refused the request; the reply is on its way.
    Refusal,
}

/// One permit, with an id that no other permit has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permit {
    /// The state at the process.
    pub holder: Holder,
    /// The entry on the server.
    pub entry: Entry,
    /// The acquire request or its reply.
    pub acquire: Option<Message>,
    /// The renew request or its reply.
    pub renewal: Option<Message>,
    /// The number of release requests that are on their way.
    pub releases: u8,
    /// The number of ticks that the clock of the process has missed.
    pub missed_ticks: u8,
}

impl Permit {
    /// Returns true if the entry counts against the limit.
    pub fn is_live(&self) -> bool {
        matches!(self.entry, Entry::Live { .. })
    }

    /// Returns true if the process considers its permit valid.
    pub fn is_valid(&self, config: &Config) -> bool {
        matches!(self.holder, Holder::Holding { age, .. } if age + config.margin < config.lease)
    }

    /// Returns true if the process crashed.
    pub fn is_crashed(&self) -> bool {
        matches!(self.holder, Holder::Ended { crashed: true, .. })
    }

    /// Returns true if the process and the network of a reliable model have nothing to do before the next tick.
    pub fn is_settled(&self, config: &Config) -> bool {
        let is_late = |message: Option<Message>| {
            message.is_some_and(|message| message.age >= config.deadline)
        };
        let must_renew = match self.holder {
            Holder::Holding { age } => age >= config.renew_after && self.renewal.is_none(),
            Holder::New | Holder::Waiting | Holder::Ended { .. } => false,
        };
        !is_late(self.acquire) && !is_late(self.renewal) && !must_renew
    }

    /// Ends the use of the permit by its process.
    pub fn end(&mut self, crashed: bool) {
        self.holder = Holder::Ended { since: 0, crashed };
    }

    /// Lets one tick pass on the server and, if `clock_runs`, on the clock of the process.
    pub fn tick(&mut self, config: &Config, clock_runs: bool) {
        match &mut self.entry {
            Entry::Live { left: 1, .. } => self.entry = Entry::Expired,
            Entry::Live { left, .. } => *left -= 1,
            Entry::Absent | Entry::Expired => {}
        }
        if let Holder::Ended { since, .. } = &mut self.holder {
            *since = (*since + 1).min(config.longest_ghost());
        }
        if !clock_runs {
            self.missed_ticks += 1;
            return;
        }
        if let Holder::Holding { age, .. } = &mut self.holder {
            *age = (*age + 1).min(config.lease);
        }
        for message in [&mut self.acquire, &mut self.renewal].into_iter().flatten() {
            message.age = (message.age + 1).min(config.lease);
        }
    }

    /// Replaces a state by the simplest state with the same future. An id whose permit left no trace is new again, so
    /// a model with a few permits contains runs with any number of them.
    pub fn simplify(&mut self, config: &Config) {
        let is_ended = matches!(self.holder, Holder::Ended { .. });
        for message in [&mut self.acquire, &mut self.renewal] {
            let Some(Message { age, phase }) = message else { continue };
            match phase {
                _ if is_ended && *phase != Phase::Request => *message = None,
                Phase::Request if !config.is_in_time(*age) => *age = config.lease,
                Phase::Refusal => *age = 0,
                Phase::Request | Phase::Success => {}
            }
        }
        let may_renew = self.renewal.is_some() || matches!(self.holder, Holder::Holding { .. });
        if self.entry == Entry::Expired && !may_renew {
            self.entry = Entry::Absent;
        }
        if !is_ended || self.entry != Entry::Absent {
            return;
        }
        if self.acquire.is_none() && self.renewal.is_none() {
            self.end(false);
        }
        if self.acquire.is_none() && self.renewal.is_none() && self.releases == 0 {
            *self = Self::default();
        }
    }
}

impl Config {
    /// Returns the time after which the permit of a crashed process must be free: the request that it sent last
    /// reaches the server within the deadline, and the lease begins then.
    pub fn longest_ghost(&self) -> u8 {
        self.lease + self.deadline + self.missed_ticks
    }

    /// Returns true if the server executes an acquire or renew request of this age.
    pub fn is_in_time(&self, age: u8) -> bool {
        age <= self.deadline || self.has(Variant::NoDeadline)
    }
}
