//! The state of one lease: at its process, in the messages, and its units in the store.

use super::{
    config::{Config, Variant},
    time::{Stamp, age_stamp, expired},
};

/// The state of a lease at the process that requested it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// The id is not used yet.
    #[default]
    New,
    /// The process sent the request and has no reply.
    Waiting,
    /// The process serves the units.
    Serving(Serving),
    /// The process sent a return or crashed.
    Ended,
}

/// What a process knows about a lease that it serves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serving {
    /// The time since the process sent the request, by its own clock, at most the duration of the lease.
    pub age: u8,
    /// The time since the reply arrived. Only the defects use it.
    pub received: u8,
    /// The expiry of the lease on the server. The process knows it as the time of the grant plus the duration.
    pub expiry: Stamp,
    /// The number of units that are left.
    pub unused: u8,
    /// The uses, in ascending order.
    pub used: Vec<Use>,
    /// The number of units of the lease, if the return needs it.
    pub granted: u8,
}

/// A use of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Use {
    /// An upper bound of the time of the use.
    pub bound: Stamp,
    /// The time since the use, for models with refunds. The process does not know it.
    pub age: u8,
}

/// A request for a lease, or its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grant {
    /// The time since the process sent the request, by its own clock, at most the duration of the lease.
    pub age: u8,
    /// The number of units and the expiry of the lease, after the server executed the request.
    pub reply: Option<(u8, Stamp)>,
}

/// A return of a lease.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Return {
    /// An upper bound of the time of each use.
    pub used: Vec<Stamp>,
    /// The number of units that were not used, for a server that does not compute it.
    pub unused: u8,
    /// The expiry of the lease, for a server that finds its units by their stamp.
    pub expiry: Stamp,
    /// The number of units of the lease, for a server that finds its units by their stamp.
    pub granted: u8,
    /// How often the server may still execute it.
    pub executions: u8,
}

/// One lease, with an id that no other lease has. `H` is what the store has for the lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease<H> {
    /// The state at the process.
    pub holder: Holder,
    /// The request or its reply.
    pub grant: Option<Grant>,
    /// The return.
    pub returned: Option<Return>,
    /// The uses that the process has reported in the return and may still refund.
    pub reported: Vec<Use>,
    /// The refunds that are on their way: each has the bound of the use.
    pub refunds: Vec<Stamp>,
    /// The units in the store.
    pub hold: H,
    /// The number of ticks that the clock of the process has missed.
    pub missed_ticks: u8,
}

impl<H> Lease<H> {
    /// Returns the lease that the process serves.
    pub fn serving(&self) -> Option<&Serving> {
        match &self.holder {
            Holder::Serving(serving) => Some(serving),
            Holder::New | Holder::Waiting | Holder::Ended => None,
        }
    }

    /// Returns true if the process may serve a unit now.
    pub fn can_serve(&self, config: &Config) -> bool {
        self.serving().is_some_and(|serving| serving.unused > 0 && serving.is_in_time(config))
    }

    /// Serves a unit: the process decides that a request is admitted.
    pub fn serve(&mut self, config: &Config, needs_stamps: bool) {
        if let Holder::Serving(serving) = &mut self.holder {
            serving.unused -= 1;
            let bound = if needs_stamps { serving.bound_of_use(config) } else { expired(config) };
            serving.used.push(Use { bound, age: 0 });
            serving.used.sort_unstable();
        }
    }

    /// Refunds a use: the unit is unused again. If the process has sent the return, it sends a refund instead. Returns
    /// the time since the use.
    pub fn refund(&mut self, number: usize) -> u8 {
        if let Holder::Serving(serving) = &mut self.holder {
            serving.unused += 1;
            return serving.used.remove(number).age;
        }
        let refunded = self.reported.remove(number);
        self.refunds.push(refunded.bound);
        self.refunds.sort_unstable();
        refunded.age
    }

    /// Forgets when the units were used, because a reset forgot the uses.
    pub fn forget_uses(&mut self, config: &Config) {
        if config.refunds {
            self.refundable_mut().for_each(|it| it.age = config.window);
        }
    }

    /// Returns the uses that the process may refund.
    pub fn refundable(&self) -> &[Use] {
        self.serving().map_or(&self.reported, |serving| &serving.used)
    }

    fn refundable_mut(&mut self) -> impl Iterator<Item = &mut Use> {
        let used = match &mut self.holder {
            Holder::Serving(serving) => serving.used.as_mut_slice(),
            Holder::New | Holder::Waiting | Holder::Ended => &mut [],
        };
        used.iter_mut().chain(&mut self.reported)
    }

    /// Ends the lease at the process and sends the return. A process that has no reply reports no uses.
    pub fn give_back(&mut self, config: &Config) {
        let mut returned = Return {
            used: Vec::new(),
            unused: 0,
            expiry: expired(config),
            granted: 0,
            executions: config.executions_of_return,
        };
        if let Holder::Serving(serving) = &self.holder {
            returned.used = serving.used.iter().map(|it| it.bound).collect();
            if config.refunds {
                self.reported = serving.used.clone();
            }
            if config.has(Variant::LateReturnRefunds) {
                returned.unused = serving.unused;
            }
            if config.has(Variant::ReturnFindsByStamp) {
                (returned.expiry, returned.granted) = (serving.expiry, serving.granted);
            }
        }
        self.returned = Some(returned);
        let keeps_serving = match self.holder {
            Holder::Serving(_) => config.has(Variant::ServesAfterReturn),
            _ => config.has(Variant::ServesGrantAfterReturn),
        };
        if !keeps_serving {
            self.holder = Holder::Ended;
        }
    }

    /// The process receives the reply with its units.
    pub fn receive(&mut self, config: &Config) {
        let Some(Grant { age, reply: Some((units, expiry)) }) = self.grant.take() else { return };
        if self.holder == Holder::Waiting {
            let granted = if config.has(Variant::ReturnFindsByStamp) { units } else { 0 };
            self.holder = Holder::Serving(Serving {
                age,
                received: 0,
                expiry,
                unused: units,
                used: Vec::new(),
                granted,
            });
        }
    }

    /// Lets one tick pass, also on the clock of the process if `clock_runs`.
    pub fn tick(&mut self, config: &Config, clock_runs: bool) {
        if !clock_runs {
            self.missed_ticks += 1;
        }
        let passed = u8::from(clock_runs);
        if let Some(grant) = &mut self.grant {
            grant.age = (grant.age + passed).min(config.ttl);
        }
        if let Holder::Serving(serving) = &mut self.holder {
            serving.age = (serving.age + passed).min(config.ttl);
            if config.has(Variant::ServesFromReply) || config.has(Variant::BoundFromReply) {
                serving.received = (serving.received + passed).min(config.ttl);
            }
        }
        if config.refunds {
            self.refundable_mut().for_each(|it| it.age = (it.age + 1).min(config.window));
        }
        self.for_each_stamp(|stamp| *stamp = age_stamp(config, *stamp));
    }

    /// Calls the function with each time of the server that the process and the messages know.
    pub fn for_each_stamp(&mut self, mut change: impl FnMut(&mut Stamp)) {
        if let Some((_, expiry)) = self.grant.as_mut().and_then(|grant| grant.reply.as_mut()) {
            change(expiry);
        }
        if let Holder::Serving(serving) = &mut self.holder {
            change(&mut serving.expiry);
        }
        self.refundable_mut().for_each(|it| change(&mut it.bound));
        self.refunds.iter_mut().for_each(&mut change);
        if let Some(returned) = &mut self.returned {
            change(&mut returned.expiry);
            returned.used.iter_mut().for_each(&mut change);
        }
    }

    /// Replaces a state by the simplest state with the same future, except for the units in the store.
    pub fn simplify(&mut self, config: &Config) {
        // A refund of a use that has left the window has no effect.
        self.reported.retain(|it| it.age < config.window && it.bound > expired(config));
        self.refunds.retain(|&bound| bound > expired(config));
        match &mut self.holder {
            Holder::Serving(serving) if serving.is_over(config) => {
                serving.age = config.ttl;
                serving.received = config.ttl;
                if !config.has(Variant::ReturnFindsByStamp) {
                    serving.expiry = expired(config);
                }
            }
            Holder::Ended => {
                self.grant = self.grant.filter(|grant| grant.reply.is_none());
                if let Some(grant) = &mut self.grant {
                    grant.age = config.ttl;
                }
            }
            Holder::New | Holder::Waiting | Holder::Serving(_) => {}
        }
    }

    /// Returns true if the process has forgotten the lease, and no message names it.
    pub fn is_forgotten(&self) -> bool {
        let is_silent = self.grant.is_none() && self.returned.is_none() && self.refunds.is_empty();
        self.holder == Holder::Ended && is_silent && self.reported.is_empty()
    }
}

impl Serving {
    fn is_in_time(&self, config: &Config) -> bool {
        let age = if config.has(Variant::ServesFromReply) { self.received } else { self.age };
        age + config.margin < config.ttl
    }

    /// Returns true if the process will serve no further unit of the lease.
    fn is_over(&self, config: &Config) -> bool {
        let is_used_up = self.unused == 0 && !config.refunds;
        is_used_up || !self.is_in_time(config)
    }

    /// Returns an upper bound of the current time of the server: the time of the grant, plus the time since the
    /// process sent the request. The process sent the request before the server executed it.
    fn bound_of_use(&self, config: &Config) -> Stamp {
        let since = if config.has(Variant::BoundFromReply) { self.received } else { self.age };
        let granted_at = self.expiry - config.ttl as Stamp;
        let margin = if config.has(Variant::BoundWithoutMargin) { 0 } else { config.margin };
        granted_at + (since + margin) as Stamp
    }
}
