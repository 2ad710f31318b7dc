//! Describes one limit for the inventory and for explanations.

use std::{fmt, panic::Location, time::Duration};

use actix_rateguard_core::adapter::{PolicySet, RouteOverrides};

use super::FUNCTION;
use crate::{Ban, Count, MissingKey, OnError, Policy, Quotas, applicability::LimitScope};

/// The description of a limit, with the values that are currently in effect. Values from the policies file are
/// included.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitInfo {
    /// Whether the limit belongs to a macro attribute or to a middleware.
    pub kind: LimitKind,
    /// The name of the limit, which also appears in logs and in the keys of the store.
    pub name: String,
    /// Whether the guard has a policy with this name, from its [builder](crate::RateGuardBuilder::policy) or its
    /// policies file.
    pub is_policy: bool,
    /// The quotas. `None` if a function chooses the quotas for each request, or if the guard does not have the
    /// policy that the limit names.
    pub quotas: Option<Quotas>,
    /// Whether the whole limit is in [shadow mode](crate::Policy::shadow), in which the limit denies no request.
    pub is_in_shadow: bool,
    /// The [candidate](crate::Policy::candidate) quotas, which the guard checks in shadow mode. `None` if the limit
    /// has no candidate.
    pub candidate: Option<Quotas>,
    /// The percentage of keys for which the guard [enforces](crate::Policy::rollout) the candidate quotas. `None` if
    /// the limit has no candidate.
    pub rollout_percent: Option<u8>,
    /// The number of keys whose quotas an [override](actix_rateguard_core::RateGuard::set_override) replaces.
    pub overridden_keys: usize,
    /// Whether a function chooses the quotas for each request.
    pub is_per_request: bool,
    /// The key in the notation of the macro attribute, such as `user+ip`. The text is `function` if a closure or
    /// function reads the key.
    pub key: String,
    /// The rule that determines how the limit treats requests without a key.
    pub missing_key: MissingKey,
    /// The cost of a request in units. `None` if a function determines the cost.
    pub cost: Option<u32>,
    /// The responses after which the limit counts a request. `None` if a function selects these responses.
    pub count: Option<Count>,
    /// The methods that the limit applies to, as the program or the policies file lists them. `GET` includes `HEAD`.
    /// If the list is empty, the limit applies to all methods.
    pub methods: Vec<String>,
    /// The maximum time that a request waits for room. Zero if the limit denies it immediately.
    pub wait: Duration,
    /// Whether the limit has a `skip` function, which can exempt requests.
    pub has_skip: bool,
    /// Whether a request that the limit denies still reaches its handler ([`Limit::permissive`](crate::Limit::permissive)).
    pub is_permissive: bool,
    /// Whether the header fields of responses report the limit ([`Limit::headers`](crate::Limit::headers)).
    pub has_headers: bool,
    /// The escalating ban. `None` if the limit bans no clients.
    pub ban: Option<Ban>,
    /// The failure mode, which determines decisions while the store does not answer.
    pub on_error: OnError,
    /// The path of the source file that contains the limit, in the form in which the compiler received the path.
    pub file: &'static str,
    /// The line of the limit in the source file. The first line of a file is 1.
    pub line: u32,
}

/// Whether a limit belongs to a macro attribute or to a middleware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitKind {
    /// The limit belongs to a `#[rate_limit]` macro attribute on a handler.
    Attribute,
    /// The limit belongs to a [`RateLimit`](crate::RateLimit) middleware that wraps an application, a scope or a
    /// resource.
    Middleware,
}

impl fmt::Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Attribute => "attribute",
            Self::Middleware => "middleware",
        })
    }
}

/// The settings of a limit as the program defines them. The policies file may override these settings.
pub(super) struct LimitDefinition<'a> {
    pub(super) kind: LimitKind,
    pub(super) name: &'a str,
    /// The policy, if it belongs only to this limit. `None` if the limit uses a policy of the guard.
    pub(super) policy: Option<&'a Policy>,
    pub(super) is_per_request: bool,
    pub(super) key: &'a str,
    pub(super) cost: Option<u32>,
    pub(super) has_skip: bool,
    pub(super) scope: &'a LimitScope,
    pub(super) location: &'static Location<'static>,
}

impl LimitDefinition<'_> {
    /// Creates the description of the limit. Settings in the policies file override the settings of the program.
    pub(super) fn into_info(
        self,
        guard: &actix_rateguard_core::RateGuard,
        policy_set: &PolicySet,
    ) -> LimitInfo {
        let named = policy_set.peek_policy(self.name);
        let (policy, overrides) = match (self.policy, named) {
            (None, Some(named)) => (Some(&named.policy), &named.overrides),
            (own, _) => (own, RouteOverrides::NONE),
        };
        let quotas = policy.filter(|_| !self.is_per_request).map(|it| it.quotas().clone());
        let candidate = policy.and_then(Policy::candidate_quotas);
        let methods = match &overrides.methods {
            Some(methods) => methods.names().iter().map(ToString::to_string).collect(),
            None => self.scope.methods.iter().map(ToString::to_string).collect(),
        };
        LimitInfo {
            kind: self.kind,
            name: self.name.to_owned(),
            is_policy: named.is_some(),
            quotas,
            is_in_shadow: policy.is_some_and(Policy::is_in_shadow),
            candidate: candidate.map(|(quotas, _)| quotas.clone()),
            rollout_percent: candidate.map(|(_, percent)| percent),
            overridden_keys: guard.overridden_keys(self.name),
            is_per_request: self.is_per_request,
            key: overrides.key.as_ref().map_or_else(|| self.key.to_owned(), |key| key.notation()),
            missing_key: overrides.missing.unwrap_or(self.scope.missing),
            cost: overrides.cost.or(self.cost),
            count: overrides.count.or(self.scope.count.setting()),
            methods,
            wait: overrides.wait.unwrap_or(self.scope.wait),
            has_skip: self.has_skip,
            is_permissive: self.scope.is_permissive(overrides),
            has_headers: !self.scope.hides_headers(overrides),
            ban: policy.and_then(Policy::own_ban),
            on_error: guard.on_error_of(policy),
            file: self.location.file(),
            line: self.location.line(),
        }
    }
}

impl LimitInfo {
    /// Formats the quotas as text.
    pub(crate) fn quotas_text(&self) -> String {
        match &self.quotas {
            Some(quotas) if self.is_in_shadow => format!("{quotas}, in shadow"),
            Some(quotas) if self.is_permissive => format!("{quotas}, permissive"),
            Some(quotas) => match (&self.candidate, self.rollout_percent) {
                (Some(candidate), Some(percent)) => {
                    format!("{quotas}, candidate {candidate} for {percent} %")
                }
                _ => quotas.to_string(),
            },
            None if self.is_per_request => "chosen for each request".to_owned(),
            None => "unknown policy".to_owned(),
        }
    }

    /// Returns the setting `count` as text, in the notation of the macro attribute. The text is `function` if a
    /// function determines which responses count.
    pub(crate) fn count_text(&self) -> String {
        self.count.map_or_else(|| FUNCTION.to_owned(), |count| count.to_string())
    }
}

/// Returns the name of a failure mode in the notation of the macro attribute.
pub(crate) fn on_error_name(on_error: OnError) -> &'static str {
    match on_error {
        OnError::Closed => "closed",
        OnError::Local => "local",
        _ => "open",
    }
}

/// Returns the name of a rule for missing keys in the notation of the macro attribute.
pub(crate) fn missing_key_name(missing: MissingKey) -> &'static str {
    match missing {
        MissingKey::Deny => "deny",
        MissingKey::Skip => "skip",
        _ => "ip",
    }
}
