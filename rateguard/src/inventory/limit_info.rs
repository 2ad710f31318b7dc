//! The description of one limit.

use std::{fmt, panic::Location};

use actix_rateguard_core::adapter::{PolicySet, RouteOverrides};

use crate::{Ban, Count, MissingKey, OnError, Policy, Quotas, applicability::LimitScope};

/// The description of a limit, including the values that the policies file currently sets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitInfo {
    /// Whether a macro attribute or a middleware sets the limit.
    pub kind: LimitKind,
    /// The name, as in keys and logs.
    pub name: String,
    /// Whether the guard has a policy of this name, from its [builder](crate::RateGuardBuilder::policy) or its policies
    /// file.
    pub is_policy: bool,
    /// The quotas. `None` if they are chosen for each request, or the guard has no policy of this name.
    pub quotas: Option<Quotas>,
    /// Whether the whole limit is in [shadow](crate::Policy::shadow). A limit in shadow denies no request.
    pub is_in_shadow: bool,
    /// The [candidate](crate::Policy::candidate) quotas, which are checked in shadow.
    pub candidate: Option<Quotas>,
    /// The percentage of keys for which the candidate is [enforced](crate::Policy::rollout). `None` without a
    /// candidate.
    pub rollout_percent: Option<u8>,
    /// Whether the quotas are chosen for each request.
    pub is_per_request: bool,
    /// The key in the notation of the macro attribute, such as `user+ip`; or `function` for a closure or function.
    pub key: String,
    /// The rule for requests without a key.
    pub missing_key: MissingKey,
    /// The cost of a request in units. `None` if a function returns it.
    pub cost: Option<u32>,
    /// The responses that make a request count.
    pub count: Count,
    /// The methods that the limit applies to. Empty: all methods.
    pub methods: Vec<String>,
    /// Whether a `skip` function exempts requests.
    pub has_skip: bool,
    /// The escalating ban. `None` if there is none.
    pub ban: Option<Ban>,
    /// The failure mode while the store does not answer.
    pub on_error: OnError,
    /// The path of the source file that contains the limit, as passed to the compiler.
    pub file: &'static str,
    /// The line in that file. The first line is 1.
    pub line: u32,
}

/// How a limit is attached to a handler or an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitKind {
    /// `#[rate_limit]` on a handler.
    Attribute,
    /// [`RateLimit`](crate::RateLimit) around an application, a scope or a resource.
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

/// The settings of a limit, before the policies file overrides them.
pub(super) struct LimitDefinition<'a> {
    pub(super) kind: LimitKind,
    pub(super) name: &'a str,
    /// The limit's own policy. `None` if the limit uses a policy of the guard.
    pub(super) policy: Option<&'a Policy>,
    pub(super) is_per_request: bool,
    pub(super) key: &'a str,
    pub(super) cost: Option<u32>,
    pub(super) has_skip: bool,
    pub(super) scope: &'a LimitScope,
    pub(super) location: &'static Location<'static>,
}

impl LimitDefinition<'_> {
    /// Applies the settings in the policies file, and returns the description.
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
            is_per_request: self.is_per_request,
            key: overrides.key.as_ref().map_or_else(|| self.key.to_owned(), |key| key.notation()),
            missing_key: overrides.missing.unwrap_or(self.scope.missing),
            cost: overrides.cost.or(self.cost),
            count: overrides.count.unwrap_or(self.scope.count),
            methods,
            has_skip: self.has_skip,
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

    /// Formats the responses that count in the notation of the macro attribute.
    pub(crate) fn count_text(&self) -> String {
        match self.count {
            Count::Success => "success".to_owned(),
            Count::Failure => "failure".to_owned(),
            Count::Status(status) => format!("status:{status}"),
            Count::Class(class) => format!("status:{class}xx"),
            _ => "all".to_owned(),
        }
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
