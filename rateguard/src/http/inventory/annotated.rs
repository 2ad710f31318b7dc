//! The limits of annotated handlers, which the linker collects.

use std::sync::atomic::Ordering::Relaxed;

use actix_web::HttpRequest;
use futures_util::future::LocalBoxFuture;

use crate::{
    Policy, RateGuard,
    guard::InForce,
    http::attribute::{AskedBy, Limit, Policied},
};

/// One limit of a handler.
pub struct Annotated {
    /// The limit.
    pub limit: fn() -> &'static Limit,
    /// Its place among those of the handler.
    pub place: usize,
    /// The notation of its key, or `function`.
    pub key: &'static str,
    /// What a request costs, if it is the same for all.
    pub cost: Option<u32>,
    /// Whether a function frees requests of it.
    pub has_skip: bool,
    /// It names its guard itself.
    pub has_own_guard: bool,
    /// What all limits of the handler ask of a request, if that can be said without the handler.
    pub asked: Option<Ask>,
}

type Ask = for<'a> fn(&'a InForce, &'a HttpRequest) -> LocalBoxFuture<'a, Vec<AskedBy>>;

inventory::collect!(Annotated);

impl Annotated {
    /// Those that this guard is for, as far as is known, by file and line.
    pub(super) fn of(guard: &RateGuard) -> Vec<&'static Self> {
        let is_its = |annotated: &&Self| match annotated.has_own_guard {
            true => (annotated.limit)().is_known_to(guard),
            false => guard.http().is_for_attributes,
        };
        let all = inventory::iter::<Self>.into_iter();
        let mut its: Vec<_> = all.into_iter().filter(is_its).collect();
        its.sort_by_key(|annotated| {
            let place = (annotated.limit)().place;
            (place.file(), place.line(), place.column())
        });
        its
    }
}

/// What is known of a limit without a request.
impl Limit {
    /// The name of its policy.
    pub(in crate::http) fn name(&self) -> &str {
        match &self.policy {
            Policied::Fixed(policy) | Policied::PerRequest(policy) => policy.name(),
            Policied::Named(name) => name,
        }
    }

    /// Whether its quotas are chosen for each request.
    pub(in crate::http) fn is_per_request(&self) -> bool {
        matches!(self.policy, Policied::PerRequest(_))
    }

    /// Its policy as it is now, if it has one of its own and does not take one of the guard's.
    pub(in crate::http) fn own_policy(&self) -> Option<&Policy> {
        match &self.policy {
            Policied::Fixed(policy) | Policied::PerRequest(policy) => Some(policy),
            Policied::Named(_) => None,
        }
    }

    /// A request has met it under this guard.
    pub(in crate::http) fn note_met(&self, guard: &RateGuard) {
        // Seldom written, so that workers do not take it from each other.
        if self.known_to.load(Relaxed) != guard.id() {
            self.known_to.store(guard.id(), Relaxed);
        }
    }

    /// Whether a request has met it under this guard, as the last one.
    pub(in crate::http) fn is_known_to(&self, guard: &RateGuard) -> bool {
        self.known_to.load(Relaxed) == guard.id()
    }
}
