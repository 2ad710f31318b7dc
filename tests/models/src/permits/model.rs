//! The steps of all permits together.

use stateright::{Model, Property};

use super::{
    config::{Config, Variant},
    permit::{Entry, Holder, Message, Permit, Phase},
    properties, server,
};

/// The kind of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An acquire request or its reply.
    Acquire,
    /// A renew request or its reply.
    Renewal,
}

/// A step. The numbers are indexes in the sorted list of the permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// One tick of time passes, on all clocks.
    Tick,
    /// One tick of time passes, but not on the clock of this holder.
    TickMissed(usize),
    /// A process sends an acquire request with a new id.
    Acquire(usize),
    /// A holder sends a renew request. It has at most one on its way.
    Renew(usize),
    /// A process ends the use of its permit, or gives up waiting for it. It sends the release request this often,
    /// for example because it received no reply to the first one.
    Release(usize, u8),
    /// A process crashes. Its messages stay on their way.
    Crash(usize),
    /// The server executes a request.
    Execute(Kind, usize),
    /// The server executes a release request.
    ExecuteRelease(usize),
    /// A process receives a reply.
    Deliver(Kind, usize),
    /// A request or a reply is lost.
    Lose(Kind, usize),
    /// A release request is lost.
    LoseRelease(usize),
    /// The server removes an expired entry.
    Purge(usize),
    /// An operator releases a permit.
    Operator(usize),
}

/// The model of the permits of one key.
#[derive(Clone, Debug)]
pub struct Permits(
    /// The sizes and the rules.
    pub Config,
);

impl Permits {
    fn permit_actions(&self, index: usize, permit: &Permit, actions: &mut Vec<Action>) {
        match permit.holder {
            Holder::New => actions.push(Action::Acquire(index)),
            Holder::Waiting => actions.push(Action::Release(index, 1)),
            Holder::Holding { .. } => {
                actions.extend([Action::Release(index, 1), Action::Release(index, 2)]);
                if permit.renewal.is_none() {
                    actions.push(Action::Renew(index));
                }
            }
            Holder::Ended { .. } => {}
        }
        for (kind, message) in [(Kind::Acquire, permit.acquire), (Kind::Renewal, permit.renewal)] {
            let Some(message) = message else { continue };
            actions.push(match message.phase {
                Phase::Request => Action::Execute(kind, index),
                Phase::Success | Phase::Refusal => Action::Deliver(kind, index),
            });
        }
        if permit.releases > 0 {
            actions.push(Action::ExecuteRelease(index));
        }
        if permit.entry == Entry::Expired {
            actions.push(Action::Purge(index));
        }
        if self.0.operator && matches!(permit.entry, Entry::Live { revoked: false, .. }) {
            actions.push(Action::Operator(index));
        }
        if permit.missed_ticks < self.0.missed_ticks && permit.holder != Holder::New {
            actions.push(Action::TickMissed(index));
        }
    }

    fn failures(index: usize, permit: &Permit, actions: &mut Vec<Action>) {
        if matches!(permit.holder, Holder::Waiting | Holder::Holding { .. }) {
            actions.push(Action::Crash(index));
        }
        if permit.acquire.is_some() {
            actions.push(Action::Lose(Kind::Acquire, index));
        }
        if permit.renewal.is_some() {
            actions.push(Action::Lose(Kind::Renewal, index));
        }
        if permit.releases > 0 {
            actions.push(Action::LoseRelease(index));
        }
    }

    fn deliver(&self, kind: Kind, permit: &mut Permit) {
        let message = match kind {
            Kind::Acquire => permit.acquire.take(),
            Kind::Renewal => permit.renewal.take(),
        };
        let Some(Message { age, phase }) = message else { return };
        let age = if self.0.has(Variant::LeaseCountsFromReply) { 0 } else { age };
        match (permit.holder, phase) {
            (Holder::Waiting, Phase::Success) => permit.holder = Holder::Holding { age },
            (Holder::Waiting, _) => permit.end(false),
            (Holder::Holding { .. }, Phase::Success) => permit.holder = Holder::Holding { age },
            (Holder::Holding { .. }, _) => {
                permit.end(false);
                permit.releases = 1;
            }
            // The process does not use a permit whose reply arrives after it gave up, because it sent a release.
            (Holder::New | Holder::Ended { .. }, _) => {}
        }
    }
}

impl Model for Permits {
    type State = Vec<Permit>;
    type Action = Action;

    fn init_states(&self) -> Vec<Self::State> {
        vec![vec![Permit::default(); self.0.permits]]
    }

    fn actions(&self, permits: &Self::State, actions: &mut Vec<Action>) {
        if !self.0.reliable || permits.iter().all(|permit| permit.is_settled(&self.0)) {
            actions.push(Action::Tick);
        }
        for (index, permit) in permits.iter().enumerate() {
            // The permits are sorted. The same step of an equal permit leads to the same state.
            if index > 0 && permits[index - 1] == *permit {
                continue;
            }
            self.permit_actions(index, permit, actions);
            if !self.0.reliable {
                Self::failures(index, permit, actions);
            }
        }
    }

    fn next_state(&self, permits: &Self::State, action: Action) -> Option<Self::State> {
        let config = &self.0;
        let mut permits = permits.clone();
        let request = Some(Message { age: 0, phase: Phase::Request });
        match action {
            Action::Tick => permits.iter_mut().for_each(|permit| permit.tick(config, true)),
            Action::TickMissed(missing) => {
                for (index, permit) in permits.iter_mut().enumerate() {
                    permit.tick(config, index != missing);
                }
            }
            Action::Acquire(index) => {
                permits[index] =
                    Permit { holder: Holder::Waiting, acquire: request, ..Permit::default() };
            }
            Action::Renew(index) => permits[index].renewal = request,
            Action::Release(index, copies) => {
                permits[index].end(false);
                permits[index].releases = copies;
            }
            Action::Crash(index) => permits[index].end(true),
            Action::Execute(Kind::Acquire, index) => server::acquire(config, &mut permits, index),
            Action::Execute(Kind::Renewal, index) => server::renew(config, &mut permits[index]),
            Action::ExecuteRelease(index) => server::release(config, &mut permits, index),
            Action::Deliver(kind, index) => self.deliver(kind, &mut permits[index]),
            Action::Lose(Kind::Acquire, index) => permits[index].acquire = None,
            Action::Lose(Kind::Renewal, index) => permits[index].renewal = None,
            Action::LoseRelease(index) => permits[index].releases -= 1,
            Action::Purge(index) => permits[index].entry = Entry::Absent,
            Action::Operator(index) => server::release_by_operator(config, &mut permits[index]),
        }
        permits.iter_mut().for_each(|permit| permit.simplify(config));
        // Permits differ only by their ids, so states that are equal except for the order are the same state.
        permits.sort_unstable();
        Some(permits)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        use properties as p;
        let mut properties = vec![
            Property::always(p::ENTRIES_WITHIN_LIMIT, |model: &Self, permits: &Vec<Permit>| {
                p::entries_are_within_limit(&model.0, permits)
            }),
            Property::always(p::VALID_WITHIN_LIMIT, |model: &Self, permits: &Vec<Permit>| {
                p::valid(&model.0, permits) <= model.0.limit
            }),
            Property::always(p::VALID_IS_COUNTED, |model: &Self, permits: &Vec<Permit>| {
                p::valid_permits_have_entries(&model.0, permits)
            }),
            Property::always(p::GHOSTS_EXPIRE, |model: &Self, permits: &Vec<Permit>| {
                p::ghosts_are_expired(&model.0, permits)
            }),
            Property::sometimes("the limit is reached", |model: &Self, permits: &Vec<Permit>| {
                p::valid(&model.0, permits) == model.0.limit
            }),
            Property::sometimes(
                "a renewal extends a valid permit",
                |model: &Self, permits: &Vec<Permit>| p::renewal_extends(&model.0, permits),
            ),
        ];
        if self.0.reliable {
            properties.push(Property::always(
                p::RENEWED_IS_VALID,
                |model: &Self, permits: &Vec<Permit>| p::all_holders_are_valid(&model.0, permits),
            ));
        } else {
            properties.push(Property::sometimes(
                "others use the permit of a crashed process",
                |model: &Self, permits: &Vec<Permit>| p::crashed_is_replaced(&model.0, permits),
            ));
            properties.push(Property::sometimes(
                "a holder learns that its permit expired",
                |_: &Self, permits: &Vec<Permit>| p::holder_learns_expiry(permits),
            ));
        }
        properties
    }
}
