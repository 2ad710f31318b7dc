//! The limits of handlers with the macro attribute. The linker collects these limits, so the guard can list them before
//! the first request.

use std::sync::atomic::Ordering::Relaxed;

use actix_rateguard_core::adapter::{AttributePolicy, PolicySet};
use actix_web::HttpRequest;
use futures_util::future::LocalBoxFuture;

use super::limit_info::{LimitDefinition, LimitInfo, LimitKind};
use crate::{
    Policy, RateGuard,
    attribute::{HandlerLimit, LimitInputs, PolicySource},
    limit_context::{LimitContext, Purpose},
};

/// The limit of one macro attribute, for the inventory.
pub struct AttributeLimit {
    /// The limit.
    pub limit: fn() -> &'static HandlerLimit,
    /// The index of the limit among the limits of the handler.
    pub index: usize,
    /// The notation of the key, or `function`.
    pub key: &'static str,
    /// The cost of a request, if all requests have the same cost.
    pub cost: Option<u32>,
    /// Whether a function exempts requests from the limit.
    pub has_skip: bool,
    /// Whether the macro attribute has a `limiter` argument.
    pub has_own_guard: bool,
    /// Reads the inputs of all limits of the handler. `None` if only the handler itself can read the inputs.
    pub inputs: Option<ReadInputs>,
}

type ReadInputs =
    for<'a> fn(&'a PolicySet, &'a HttpRequest) -> LocalBoxFuture<'a, Vec<LimitInputs>>;

inventory::collect!(AttributeLimit);

/// A macro attribute without a `limiter` that uses a policy of the guard.
///
/// The linker collects these attributes, so `build` can report a missing policy.
pub struct PolicyUse {
    /// The name of the policy.
    pub name: &'static str,
    /// The file and line of the macro attribute.
    pub location: &'static str,
    /// The cost of each request, or 1 if the cost depends on the request.
    pub cost: u32,
}

inventory::collect!(PolicyUse);

/// Returns the policies that the macro attributes of the program use.
#[must_use]
pub fn attribute_policies() -> Vec<AttributePolicy> {
    let attributes = inventory::iter::<PolicyUse>.into_iter();
    attributes
        .map(|it| AttributePolicy { name: it.name, location: it.location, cost: it.cost })
        .collect()
}

impl AttributeLimit {
    /// Returns the macro attributes that use this guard, sorted by file and line. A macro attribute with a `limiter`
    /// belongs to the guard that handled the last request of its handler.
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

    /// Returns the entry of the inventory.
    pub(super) fn info(&self, guard: &RateGuard, policy_set: &PolicySet) -> LimitInfo {
        let limit = (self.limit)();
        let definition = LimitDefinition {
            kind: LimitKind::Attribute,
            name: limit.name(),
            policy: limit.own_policy(),
            is_per_request: limit.is_per_request(),
            key: self.key,
            cost: self.cost,
            has_skip: self.has_skip,
            scope: &limit.scope,
            location: limit.location,
        };
        definition.into_info(guard, policy_set)
    }
}

/// The properties of a limit that do not depend on a request.
impl HandlerLimit {
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

    /// Returns the limit's own policy. `None` if the limit uses a policy of the guard.
    pub(crate) fn own_policy(&self) -> Option<&Policy> {
        match &self.policy {
            PolicySource::Fixed(policy) | PolicySource::PerRequest(policy) => Some(policy),
            PolicySource::Named(_) => None,
        }
    }

    /// Records that the limit's name is registered at the guard. An explanation records nothing.
    pub(crate) fn mark_registered(&self, context: &LimitContext<'_>) {
        let LimitContext { guard, purpose, .. } = *context;
        // Written only on a change, because writes for every request would make workers contend for the cache line.
        if purpose == Purpose::Enforce && !self.is_registered_with(guard) {
            self.registered_guard.store(guard.id(), Relaxed);
        }
    }

    /// Returns whether this guard is the last one at which the limit's name was registered.
    pub(crate) fn is_registered_with(&self, guard: &RateGuard) -> bool {
        self.registered_guard.load(Relaxed) == guard.id()
    }
}
