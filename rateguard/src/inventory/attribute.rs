//! The limits of handlers that have the macro attribute. The linker collects these limits, so the guard can list
//! these limits before the first request.

use std::{ptr, sync::atomic::Ordering::Relaxed};

use actix_rateguard_core::adapter::{AttributePolicy, NameRegistration, PolicySet};
use actix_web::HttpRequest;
use futures_util::future::LocalBoxFuture;

use super::{
    FUNCTION,
    limit_info::{LimitDefinition, LimitInfo, LimitKind},
};
use crate::{
    BuildError, Policy, RateGuard,
    attribute::{HandlerLimit, LimitInputs, PolicySource},
    limit_context::{LimitContext, Purpose},
    limit_name::LimitName,
};

/// Describes the limit of one macro attribute for the inventory. The macro creates this value.
pub struct AttributeLimit {
    /// A function that returns the limit.
    pub limit: fn() -> &'static HandlerLimit,
    /// The path of the handler: its module and the name of the function.
    pub handler: &'static str,
    /// The index of the limit in the list of the handler's limits.
    pub index: usize,
    /// The key in the notation of the macro attribute, or `function` if a function reads the key.
    pub key: &'static str,
    /// The cost of a request in units. `None` if a function determines the cost.
    pub cost: Option<u32>,
    /// Whether the limit has a `skip` function, which can exempt requests.
    pub has_skip: bool,
    /// Whether the macro attribute has a `limiter` argument.
    pub has_own_guard: bool,
    /// A function that reads the inputs of all limits of the handler from a request. `None` if only the code of the
    /// handler itself can read the inputs.
    pub inputs: Option<ReadInputs>,
}

type ReadInputs =
    for<'a> fn(&'a PolicySet, &'a HttpRequest) -> LocalBoxFuture<'a, Vec<LimitInputs>>;

inventory::collect!(AttributeLimit);

/// A macro attribute that uses a policy of the guard and has no `limiter` argument.
///
/// The linker collects these macro attributes, so `build` can report that the guard lacks a policy.
pub struct PolicyUse {
    /// The name of the policy.
    pub name: &'static str,
    /// The source file and line of the macro attribute.
    pub location: &'static str,
    /// The cost of each request in units, or 1 if the cost depends on the request.
    pub cost: u32,
}

inventory::collect!(PolicyUse);

/// Returns the policies that the macro attributes of the program use.
pub(crate) fn attribute_policies() -> Vec<AttributePolicy> {
    let attributes = inventory::iter::<PolicyUse>.into_iter();
    attributes
        .map(|it| AttributePolicy { name: it.name, location: it.location, cost: it.cost })
        .collect()
}

/// Registers the names of all macro attributes that use this guard, so that conflicts appear before the first request.
/// The guard must be new.
///
/// # Errors
///
/// [`BuildError`] if a macro attribute uses a policy that the guard does not have, or if two limits have the same name
/// and different settings. In this case, no name is registered.
pub(crate) fn register_attributes(guard: &RateGuard) -> Result<(), BuildError> {
    if !guard.http().is_for_attributes {
        return Ok(());
    }
    unknown_policies(guard).next().map_or(Ok(()), Err)?;
    guard.register_names(name_registrations(guard)).map_err(BuildError::NameConflict)
}

/// Does the same as [`register_attributes`], but returns all errors. The names without an error are registered. All
/// limits with a name that has an error are rejected, so it does not depend on the order of the requests which handlers
/// respond with 500.
pub(crate) fn register_valid_attributes(guard: &RateGuard) -> Vec<BuildError> {
    if !guard.http().is_for_attributes {
        return Vec::new();
    }
    let conflicts = guard.register_or_reject_names(name_registrations(guard));
    unknown_policies(guard).chain(conflicts.into_iter().map(BuildError::NameConflict)).collect()
}

fn unknown_policies(guard: &RateGuard) -> impl Iterator<Item = BuildError> {
    let policy_set = guard.policy_set();
    inventory::iter::<PolicyUse>.into_iter().filter_map(
        move |PolicyUse { name, location, .. }| {
            let is_unknown = policy_set.peek_policy(name).is_none();
            is_unknown.then(|| policy_set.unknown_policy(name, location))
        },
    )
}

fn name_registrations(guard: &RateGuard) -> impl Iterator<Item = NameRegistration<'static>> {
    let attributes = AttributeLimit::of(guard).into_iter();
    attributes.filter_map(|it| (it.limit)().name_registration().ok())
}

impl AttributeLimit {
    /// Returns the macro attributes that use this guard, sorted by file and line. A macro attribute with a
    /// `limiter` argument is in the result if this guard checked the most recent request to its handler.
    pub(super) fn of(guard: &RateGuard) -> Vec<&'static Self> {
        let belongs_to_guard = |attribute: &&Self| match attribute.has_own_guard {
            true => (attribute.limit)().is_registered_with(guard),
            false => guard.http().is_for_attributes,
        };
        let all = inventory::iter::<Self>.into_iter();
        let mut attributes: Vec<_> = all.into_iter().filter(belongs_to_guard).collect();
        attributes.sort_by_key(|attribute| {
            let location = (attribute.limit)().location;
            // All limits of a handler have the location of its first attribute.
            (location.file(), location.line(), location.column(), attribute.index)
        });
        attributes
    }

    /// Returns the entry for this limit in the inventory.
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

/// Properties of a limit that do not depend on a request.
impl HandlerLimit {
    /// Returns the name of the limit's policy.
    pub(crate) fn name(&self) -> &str {
        match &self.policy {
            PolicySource::Fixed(policy) | PolicySource::PerRequest(policy) => policy.name(),
            PolicySource::Named(name) => name,
        }
    }

    /// Returns the limit for messages. Without a name, a limit has the path of its handler, which identifies it.
    pub(crate) fn limit_name(&self) -> LimitName<'_> {
        LimitName { name: Some(self.name()), location: self.location }
    }

    /// Returns the key in the notation of the macro attribute, or `function` if a function reads the key.
    pub(crate) fn key_notation(&self) -> &'static str {
        let mut all = inventory::iter::<AttributeLimit>.into_iter();
        all.find(|it| ptr::eq((it.limit)(), self)).map_or(FUNCTION, |it| it.key)
    }

    /// Returns whether a function chooses the quotas for each request.
    pub(crate) fn is_per_request(&self) -> bool {
        matches!(self.policy, PolicySource::PerRequest(_))
    }

    /// Returns the policy, if it belongs only to this limit. The result is `None` if the limit uses a policy of the
    /// guard.
    pub(crate) fn own_policy(&self) -> Option<&Policy> {
        match &self.policy {
            PolicySource::Fixed(policy) | PolicySource::PerRequest(policy) => Some(policy),
            PolicySource::Named(_) => None,
        }
    }

    /// Records that the limit has registered its name at the guard. Does nothing for an explanation.
    pub(crate) fn mark_registered(&self, context: &LimitContext<'_>) {
        let LimitContext { guard, purpose, .. } = *context;
        // The value is stored only if it has changed, because a write for every request would make the workers
        // compete for one cache line.
        if purpose == Purpose::Enforce && !self.is_registered_with(guard) {
            self.registered_guard.store(guard.id(), Relaxed);
        }
    }

    /// Returns whether this guard is the guard at which the limit last registered its name.
    pub(crate) fn is_registered_with(&self, guard: &RateGuard) -> bool {
        self.registered_guard.load(Relaxed) == guard.id()
    }
}
