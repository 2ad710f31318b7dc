//! The limits of handlers with the attribute. The linker collects them.

use std::sync::atomic::Ordering::Relaxed;

use actix_rateguard_core::adapter::{AttributePolicy, PolicySet};
use actix_web::HttpRequest;
use futures_util::future::LocalBoxFuture;

use crate::{
    Policy, RateGuard,
    attribute::{Limit, LimitInputs, PolicySource},
};

/// The limit of one attribute, for the inventory.
pub struct AttributeLimit {
    /// The limit.
    pub limit: fn() -> &'static Limit,
    /// The index of the limit among those of the handler.
    pub index: usize,
    /// The notation of the key, or `function`.
    pub key: &'static str,
    /// The cost of a request, if it is the same for all.
    pub cost: Option<u32>,
    /// Whether a function exempts requests from the limit.
    pub has_skip: bool,
    /// Whether the attribute has a `limiter` argument.
    pub has_own_guard: bool,
    /// Reads the inputs of all limits of the handler. `None` if only the handler itself can read them.
    pub inputs: Option<ReadInputs>,
}

type ReadInputs =
    for<'a> fn(&'a PolicySet, &'a HttpRequest) -> LocalBoxFuture<'a, Vec<LimitInputs>>;

inventory::collect!(AttributeLimit);

/// The use of a policy by an attribute without a `limiter`.
///
/// The linker collects all uses of a program, so that `build` can report a missing policy.
pub struct PolicyUse {
    /// The name of the policy.
    pub name: &'static str,
    /// The file and line of the attribute.
    pub location: &'static str,
    /// The cost of each request, or 1 if it depends on the request.
    pub cost: u32,
}

inventory::collect!(PolicyUse);

/// Returns the policies that the attributes of the program use.
pub(crate) fn attribute_policies() -> Vec<AttributePolicy> {
    let attributes = inventory::iter::<PolicyUse>.into_iter();
    attributes
        .map(|it| AttributePolicy { name: it.name, location: it.location, cost: it.cost })
        .collect()
}

impl AttributeLimit {
    /// Returns the attributes of this guard, sorted by file and line. An attribute with a `limiter` belongs to the
    /// guard that handled its last request.
    pub(super) fn of(guard: &RateGuard) -> Vec<&'static Self> {
        let belongs_to_guard = |attribute: &&Self| match attribute.has_own_guard {
            true => (attribute.limit)().is_registered_with(guard),
            false => guard.http().is_for_attributes,
        };
        let all = inventory::iter::<Self>.into_iter();
        let mut attributes: Vec<_> = all.into_iter().filter(belongs_to_guard).collect();
        attributes.sort_by_key(|attribute| {
            let location = (attribute.limit)().location;
            (location.file(), location.line(), location.column())
        });
        attributes
    }
}

/// The properties of a limit that do not depend on a request.
impl Limit {
    /// Returns the name of the policy.
    pub(crate) fn name(&self) -> &str {
        match &self.policy {
            PolicySource::Fixed(policy) | PolicySource::PerRequest(policy) => policy.name(),
            PolicySource::Named(name) => name,
        }
    }

    /// Returns whether the quotas are chosen for each request.
    pub(crate) fn is_per_request(&self) -> bool {
        matches!(self.policy, PolicySource::PerRequest(_))
    }

    /// Returns the limit's own policy. `None` if it uses one of the guard's.
    pub(crate) fn own_policy(&self) -> Option<&Policy> {
        match &self.policy {
            PolicySource::Fixed(policy) | PolicySource::PerRequest(policy) => Some(policy),
            PolicySource::Named(_) => None,
        }
    }

    /// Records that the limit's name is registered at this guard.
    pub(crate) fn mark_registered(&self, guard: &RateGuard) {
        // Written only on a change, so that workers do not contend for the cache line.
        if self.registered_guard.load(Relaxed) != guard.id() {
            self.registered_guard.store(guard.id(), Relaxed);
        }
    }

    /// Returns whether this guard is the last one at which the limit's name was registered.
    pub(crate) fn is_registered_with(&self, guard: &RateGuard) -> bool {
        self.registered_guard.load(Relaxed) == guard.id()
    }
}
