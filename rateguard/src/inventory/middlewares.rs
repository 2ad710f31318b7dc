//! The registry of the limits whose middleware a worker has started.

use std::{
    panic::Location,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use actix_rateguard_core::adapter::PolicySet;

use super::{FUNCTION, LimitInfo, LimitKind, limit_info::LimitDefinition, name_claims::NameClaims};
use crate::{AccessList, middleware::MiddlewareLimit};

/// The maximum number of limits in the registry. A limit whose middleware several workers have
/// started is counted once.
const MAX_LIMITS: usize = 1_024;

/// The registry of middleware limits. When a worker starts a middleware, the middleware registers its limits here.
#[derive(Default)]
pub(crate) struct MiddlewareRegistry {
    /// The names of the limits of all middlewares that exist.
    pub(crate) name_claims: NameClaims,
    state: Mutex<RegistryState>,
}

#[derive(Default)]
struct RegistryState {
    limits: Vec<Arc<RegisteredLimit>>,
    omitted: usize,
    /// The source locations and names of the limits that a warning has reported because several parts of an application
    /// share them.
    reported_as_shared: Vec<(&'static Location<'static>, String)>,
}

/// One limit in the registry. A worker has started the middleware of this limit, but the worker may have stopped
/// after that.
pub(crate) struct RegisteredLimit {
    location: &'static Location<'static>,
    name: String,
    /// The description of the limit at the time when a worker started the middleware. The inventory shows this
    /// description after the last worker has stopped.
    startup_info: LimitInfo,
    /// The index of the limit in the list `limits`.
    index: usize,
    /// The limits of the middleware. The reference is weak, because a function of a limit may own a clone of the
    /// guard. With a strong reference, the guard and this function would own each other, and the memory of both
    /// would never be freed.
    limits: Weak<Vec<MiddlewareLimit>>,
    access: Weak<AccessList>,
}

/// One limit of a middleware that a worker is running.
pub(crate) struct ActiveLimit {
    limits: Arc<Vec<MiddlewareLimit>>,
    index: usize,
    pub(crate) access: Arc<AccessList>,
}

impl ActiveLimit {
    pub(crate) fn limit(&self) -> &MiddlewareLimit {
        &self.limits[self.index]
    }
}

/// The parts of a middleware that are registered when a worker starts the middleware.
pub(crate) struct ActiveMiddleware<'a> {
    pub(crate) limits: &'a Arc<Vec<MiddlewareLimit>>,
    pub(crate) access: &'a Arc<AccessList>,
}

impl MiddlewareRegistry {
    /// Adds the limits of a middleware to the inventory. If another worker has already registered a limit with the same
    /// name and source location, the new limit replaces that limit.
    pub(crate) fn add_to_inventory(
        &self,
        guard: &actix_rateguard_core::RateGuard,
        policy_set: &PolicySet,
        middleware: ActiveMiddleware<'_>,
    ) {
        for (index, limit) in middleware.limits.iter().enumerate() {
            let registered = Arc::new(RegisteredLimit {
                location: limit.location,
                name: limit.policy.name().to_owned(),
                startup_info: limit_info(guard, policy_set, limit),
                index,
                limits: Arc::downgrade(middleware.limits),
                access: Arc::downgrade(middleware.access),
            });
            let mut state = self.lock();
            let is_same = |other: &Arc<RegisteredLimit>| {
                (other.location, &other.name) == (registered.location, &registered.name)
            };
            match state.limits.iter().position(is_same) {
                Some(position) => state.limits[position] = registered,
                None if state.limits.len() < MAX_LIMITS => state.limits.push(registered),
                None => state.omitted += 1,
            }
        }
    }

    /// Records that a warning reports that several parts of an application share this limit. Returns true at the first
    /// call for this limit, so that only one warning is logged.
    pub(crate) fn is_first_report(&self, location: &'static Location<'static>, name: &str) -> bool {
        let reported = &mut self.lock().reported_as_shared;
        let is_new = !reported.iter().any(|(at, other)| (*at, &**other) == (location, name));
        if is_new {
            reported.push((location, name.to_owned()));
        }
        is_new
    }

    pub(super) fn registered(&self) -> Vec<Arc<RegisteredLimit>> {
        self.lock().limits.clone()
    }

    pub(super) fn omitted(&self) -> usize {
        self.lock().omitted
    }

    fn lock(&self) -> MutexGuard<'_, RegistryState> {
        // No code can panic while it holds the lock, so the lock is never poisoned.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RegisteredLimit {
    /// Returns the limit. The result is `None` if no worker runs its middleware any more.
    pub(crate) fn active(&self) -> Option<ActiveLimit> {
        Some(ActiveLimit {
            limits: self.limits.upgrade()?,
            index: self.index,
            access: self.access.upgrade()?,
        })
    }

    /// Returns the current description of the limit. If no worker runs the middleware any more, returns the
    /// description at the time when a worker started the middleware.
    pub(super) fn current_info(
        &self,
        guard: &actix_rateguard_core::RateGuard,
        policy_set: &PolicySet,
    ) -> LimitInfo {
        match self.active() {
            Some(active) => limit_info(guard, policy_set, active.limit()),
            None => self.startup_info.clone(),
        }
    }
}

fn limit_info(
    guard: &actix_rateguard_core::RateGuard,
    policy_set: &PolicySet,
    limit: &MiddlewareLimit,
) -> LimitInfo {
    let definition = LimitDefinition {
        kind: LimitKind::Middleware,
        name: limit.policy.name(),
        policy: (!limit.is_of_guard).then_some(&limit.policy),
        is_per_request: limit.plan.is_some(),
        key: limit.key_notation.as_deref().unwrap_or(FUNCTION),
        cost: limit.cost.constant(),
        has_skip: limit.scope.skip.is_some(),
        scope: &limit.scope,
        location: limit.location,
    };
    definition.into_info(guard, policy_set)
}
