//! The steps of all leases together, and the properties that the checker verifies.

use stateright::{Model, Property};

use super::{
    bucket::Bucket,
    config::Config,
    lease::{Grant, Holder, Lease},
};

/// The actual uses never exceed the quota. For a sliding window: no window contains more than `limit` uses.
pub const USES_WITHIN_LIMIT: &str = "uses are within the limit";

/// The store counts at most the limit, also while leases end and are returned, and no unit counts for longer than a
/// lease and a window, also after a crash.
pub const COUNTS_ARE_BOUNDED: &str = "counts are bounded";

/// A step. The numbers are indexes in the sorted list of the leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// One tick of time passes, on all clocks.
    Tick,
    /// One tick of time passes, but not on the clock of this process.
    TickMissed(usize),
    /// The clock of the server is set back by one tick.
    StepBack,
    /// The quota is reset.
    Reset,
    /// A process sends a request for a lease with a new id.
    Request(usize),
    /// The server executes the request and grants this number of units.
    Grant(usize, u8),
    /// The process receives the reply.
    Receive(usize),
    /// The request or its reply is lost.
    LoseGrant(usize),
    /// The process uses a unit.
    Serve(usize),
    /// The process refunds one of the uses.
    Refund(usize, usize),
    /// The server executes a refund that was sent after the return.
    ExecuteRefund(usize, usize),
    /// A refund that was sent after the return is lost.
    LoseRefund(usize, usize),
    /// The process ends the lease, or gives up waiting for it, and sends a return.
    Return(usize),
    /// The process crashes, or it ends the lease without a return.
    Crash(usize),
    /// The server executes the return.
    ExecuteReturn(usize),
    /// The return is lost.
    LoseReturn(usize),
    /// A request takes one unit from the store without a lease.
    Take,
}

/// A state of the model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State<B: Bucket> {
    /// The quota in the store.
    pub bucket: B,
    /// The leases, in ascending order.
    pub leases: Vec<Lease<B::Hold>>,
    /// The number of times that the clock was set back.
    pub steps_back: u8,
    /// The number of times that the quota was reset.
    pub resets: u8,
}

/// The model of the leases of one quota of one key.
#[derive(Clone, Debug)]
pub struct Leases<B> {
    config: Config,
    bucket: B,
}

impl<B: Bucket> Leases<B> {
    /// Creates the model.
    pub fn new(config: Config) -> Self {
        Self { bucket: B::new(&config), config }
    }

    fn lease_actions(
        &self,
        index: usize,
        lease: &Lease<B::Hold>,
        room: u8,
        actions: &mut Vec<Action>,
    ) {
        match &lease.holder {
            Holder::New => actions.push(Action::Request(index)),
            Holder::Waiting | Holder::Serving(_) => {
                actions.push(Action::Crash(index));
                if lease.returned.is_none() {
                    actions.push(Action::Return(index));
                }
            }
            Holder::Ended => {}
        }
        if lease.can_serve(&self.config) {
            actions.push(Action::Serve(index));
        }
        if self.config.refunds {
            actions
                .extend((0..lease.refundable().len()).map(|number| Action::Refund(index, number)));
        }
        for number in 0..lease.refunds.len() {
            actions
                .extend([Action::ExecuteRefund(index, number), Action::LoseRefund(index, number)]);
        }
        if let Some(grant) = lease.grant {
            actions.push(Action::LoseGrant(index));
            match grant.reply {
                Some(_) => actions.push(Action::Receive(index)),
                None => actions.extend(
                    (1..=room.min(self.config.max_units)).map(|units| Action::Grant(index, units)),
                ),
            }
        }
        if lease.returned.is_some() {
            actions.extend([Action::ExecuteReturn(index), Action::LoseReturn(index)]);
        }
        if lease.missed_ticks < self.config.missed_ticks && lease.holder != Holder::New {
            actions.push(Action::TickMissed(index));
        }
    }
}

impl<B: Bucket> State<B> {
    fn tick(&mut self, config: &Config, missing: Option<usize>) {
        for (index, lease) in self.leases.iter_mut().enumerate() {
            lease.tick(config, missing != Some(index));
        }
        self.bucket.tick(config, &mut self.leases);
    }

    fn step_back(&mut self, config: &Config) {
        self.steps_back += 1;
        self.leases.iter_mut().for_each(|lease| lease.for_each_stamp(|stamp| *stamp += 1));
        self.bucket.step_back(config, &mut self.leases);
    }

    fn reset(&mut self, config: &Config) {
        self.resets += 1;
        self.bucket.reset(config, &mut self.leases);
        self.leases.iter_mut().for_each(|lease| lease.forget_uses(config));
    }

    fn refund(&mut self, index: usize, number: usize) {
        let age = self.leases[index].refund(number);
        self.bucket.forget_use(age);
    }

    fn execute_refund(&mut self, config: &Config, index: usize, number: usize) {
        let bound = self.leases[index].refunds.remove(number);
        self.bucket.refund(config, &mut self.leases, bound);
    }

    fn grant(&mut self, config: &Config, index: usize, units: u8) {
        let lease = &mut self.leases[index];
        lease.hold = self.bucket.grant(config, units);
        if let Some(grant) = &mut lease.grant {
            grant.reply = Some((units, config.ttl as i8));
        }
    }

    fn execute_return(&mut self, config: &Config, index: usize) {
        let Some(mut returned) = self.leases[index].returned.take() else { return };
        self.bucket.settle(config, &mut self.leases, index, &returned);
        returned.executions -= 1;
        self.leases[index].returned = Some(returned).filter(|returned| returned.executions > 0);
    }

    /// Replaces the state by the simplest state with the same future.
    fn simplify(&mut self, config: &Config) {
        for lease in &mut self.leases {
            lease.simplify(config);
            if lease.is_forgotten() {
                let hold = self.bucket.orphan(std::mem::take(&mut lease.hold));
                let holder = if hold == B::Hold::default() { Holder::New } else { Holder::Ended };
                *lease = Lease { holder, hold, ..Lease::default() };
            }
        }
        // Leases differ only by their ids, so states that are equal except for the order are the same state.
        self.leases.sort_unstable();
    }
}

impl<B: Bucket> Model for Leases<B> {
    type State = State<B>;
    type Action = Action;

    fn init_states(&self) -> Vec<Self::State> {
        let leases = vec![Lease::default(); self.config.leases];
        vec![State { bucket: self.bucket.clone(), leases, steps_back: 0, resets: 0 }]
    }

    fn actions(&self, state: &Self::State, actions: &mut Vec<Action>) {
        let room = state.bucket.room(&self.config, &state.leases);
        actions.push(Action::Tick);
        if state.steps_back < self.config.steps_back {
            actions.push(Action::StepBack);
        }
        if state.resets < self.config.resets {
            actions.push(Action::Reset);
        }
        if room > 0 {
            actions.push(Action::Take);
        }
        for (index, lease) in state.leases.iter().enumerate() {
            // The leases are sorted. The same step of an equal lease leads to the same state.
            if index == 0 || state.leases[index - 1] != *lease {
                self.lease_actions(index, lease, room, actions);
            }
        }
    }

    fn next_state(&self, state: &Self::State, action: Action) -> Option<Self::State> {
        let config = &self.config;
        let mut state = state.clone();
        match action {
            Action::Tick => state.tick(config, None),
            Action::TickMissed(index) => state.tick(config, Some(index)),
            Action::StepBack => state.step_back(config),
            Action::Reset => state.reset(config),
            Action::Request(index) => {
                state.leases[index].holder = Holder::Waiting;
                state.leases[index].grant = Some(Grant { age: 0, reply: None });
            }
            Action::Grant(index, units) => state.grant(config, index, units),
            Action::Receive(index) => state.leases[index].receive(config),
            Action::LoseGrant(index) => state.leases[index].grant = None,
            Action::Serve(index) => {
                state.leases[index].serve(config, B::NEEDS_STAMPS);
                state.bucket.record_use();
            }
            Action::Refund(index, number) => state.refund(index, number),
            Action::ExecuteRefund(index, number) => state.execute_refund(config, index, number),
            Action::LoseRefund(index, number) => {
                state.leases[index].refunds.remove(number);
            }
            Action::Return(index) => state.leases[index].give_back(config),
            Action::Crash(index) => state.leases[index].holder = Holder::Ended,
            Action::ExecuteReturn(index) => state.execute_return(config, index),
            Action::LoseReturn(index) => state.leases[index].returned = None,
            Action::Take => state.bucket.take(),
        }
        state.simplify(config);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(USES_WITHIN_LIMIT, |model: &Self, state: &State<B>| {
                state.bucket.is_respected(&model.config)
            }),
            Property::always(COUNTS_ARE_BOUNDED, |model: &Self, state: &State<B>| {
                state.bucket.is_bounded(&model.config, &state.leases)
            }),
            Property::sometimes("the limit is reached", |model: &Self, state: &State<B>| {
                state.bucket.is_exhausted(&model.config)
            }),
            Property::sometimes(
                "the units of two leases are used",
                |_: &Self, state: &State<B>| {
                    state
                        .leases
                        .iter()
                        .filter(|lease| lease.serving().is_some_and(|it| !it.used.is_empty()))
                        .count()
                        > 1
                },
            ),
        ]
    }
}
