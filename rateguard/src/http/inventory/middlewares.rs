//! The middlewares that were started.

use std::{
    panic::Location,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use super::{KnownLimit, LimitKind, known_limit::Written};
use crate::{
    AccessList, RateGuard,
    guard::InForce,
    http::middleware::{Limit, RateLimit},
};

/// So many limits of middlewares are noted. There are as many as are written, not as many as workers.
const MOST: usize = 1_024;

/// Noted by each middleware when a worker starts it.
#[derive(Default)]
pub(in crate::http) struct Middlewares {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    noted: Vec<Arc<Noted>>,
    left_out: usize,
}

/// One limit of a middleware that was started.
pub(in crate::http) struct Noted {
    place: &'static Location<'static>,
    name: String,
    /// As it was when it started, for when it no longer runs.
    known: KnownLimit,
    number: usize,
    /// What the workers share if they can. Not kept alive from here: its functions may hold the guard.
    limits: Weak<Vec<Limit>>,
    access: Weak<AccessList>,
    counts_preflights: bool,
}

/// The same while it runs.
pub(in crate::http) struct Running {
    limits: Arc<Vec<Limit>>,
    number: usize,
    pub(in crate::http) access: Arc<AccessList>,
    pub(in crate::http) counts_preflights: bool,
}

impl Running {
    pub(in crate::http) fn limit(&self) -> &Limit {
        &self.limits[self.number]
    }
}

impl Middlewares {
    /// Notes the limits of a middleware, in the place of the same ones of another worker.
    pub(in crate::http) fn note(
        &self,
        guard: &RateGuard,
        in_force: &InForce,
        middleware: &RateLimit,
    ) {
        for (number, limit) in middleware.limits.iter().enumerate() {
            let noted = Arc::new(Noted {
                place: limit.place,
                name: limit.policy.name().to_owned(),
                known: known(guard, in_force, limit),
                number,
                limits: Arc::downgrade(&middleware.limits),
                access: Arc::downgrade(&middleware.access),
                counts_preflights: middleware.counts_preflights,
            });
            let mut state = self.lock();
            let is_it =
                |earlier: &Arc<Noted>| (earlier.place, &earlier.name) == (noted.place, &noted.name);
            match state.noted.iter().position(is_it) {
                Some(place) => state.noted[place] = noted,
                None if state.noted.len() < MOST => state.noted.push(noted),
                None => state.left_out += 1,
            }
        }
    }

    pub(super) fn noted(&self) -> Vec<Arc<Noted>> {
        self.lock().noted.clone()
    }

    pub(super) fn left_out(&self) -> usize {
        self.lock().left_out
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is locked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noted {
    /// The limit as it is, if a worker still has it.
    pub(in crate::http) fn running(&self) -> Option<Running> {
        Some(Running {
            limits: self.limits.upgrade()?,
            number: self.number,
            access: self.access.upgrade()?,
            counts_preflights: self.counts_preflights,
        })
    }

    pub(super) fn known_now(&self, guard: &RateGuard, in_force: &InForce) -> KnownLimit {
        match self.running() {
            Some(running) => known(guard, in_force, running.limit()),
            None => self.known.clone(),
        }
    }
}

fn known(guard: &RateGuard, in_force: &InForce, limit: &Limit) -> KnownLimit {
    let written = Written {
        kind: LimitKind::Middleware,
        name: limit.policy.name(),
        policy: (!limit.is_of_guard).then_some(&limit.policy),
        is_per_request: limit.plan.is_some(),
        key: &limit.by_text,
        cost: limit.cost.constant(),
        has_skip: limit.terms.skip.is_some(),
        terms: &limit.terms,
        place: limit.place,
    };
    written.known(guard, in_force)
}
