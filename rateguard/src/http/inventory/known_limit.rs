//! One limit, as it is in force.

use std::{fmt, panic::Location};

use crate::{
    Ban, Count, MissingKey, OnError, Policy, Quotas, RateGuard,
    guard::{InForce, Said},
    http::{key::ReadyMade, terms::Terms},
};

/// A limit that is known before any request comes. Where it takes a policy that is in a file, it is what the file says of it now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KnownLimit {
    /// What it is.
    pub kind: LimitKind,
    /// Its name, in keys and logs.
    pub name: String,
    /// Whether that is the name of a policy of the guard, which it was [given](crate::RateGuardBuilder::policy) or has of its
    /// file.
    pub is_policy: bool,
    /// How much it admits; `None` if that is chosen for each request, or the guard has no policy of this name.
    pub quotas: Option<Quotas>,
    /// Whether all of it is in [shadow](crate::Policy::shadow), so that it refuses nobody for what it counts.
    pub is_in_shadow: bool,
    /// The [quotas](crate::Policy::candidate) that are tried beside its own.
    pub candidate: Option<Quotas>,
    /// For how many percent of the keys those are [enforced](crate::Policy::rollout), if there are any.
    pub rollout_percent: Option<u8>,
    /// Whether it is chosen for each request.
    pub is_per_request: bool,
    /// What is counted together, as the attribute writes it, such as `user+ip`; or `function`.
    pub key: String,
    /// What happens to requests without a key.
    pub missing_key: MissingKey,
    /// What a request costs; `None` if a function says so.
    pub cost: Option<u32>,
    /// Which answers count.
    pub count: Count,
    /// The methods that it is for; if there are none, all.
    pub methods: Vec<String>,
    /// Whether a function frees requests of it.
    pub has_skip: bool,
    /// Who is banned.
    pub ban: Option<Ban>,
    /// What happens when the store does not answer.
    pub on_error: OnError,
    /// The file that it is written in, as the compiler was told.
    pub file: &'static str,
    /// The line there.
    pub line: u32,
}

/// How a limit was put before what it limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitKind {
    /// By `#[rate_limit]` above a handler.
    Attribute,
    /// By [`RateLimit`](crate::RateLimit) around an application, a scope or a resource.
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

/// What is said of every limit, whichever kind it is, before what a file says of it.
pub(super) struct Written<'a> {
    pub(super) kind: LimitKind,
    pub(super) name: &'a str,
    /// If it has one of its own, and does not take one of the guard's.
    pub(super) policy: Option<&'a Policy>,
    pub(super) is_per_request: bool,
    pub(super) key: &'a str,
    pub(super) cost: Option<u32>,
    pub(super) has_skip: bool,
    pub(super) terms: &'a Terms,
    pub(super) place: &'static Location<'static>,
}

impl Written<'_> {
    pub(super) fn known(self, guard: &RateGuard, in_force: &InForce) -> KnownLimit {
        let named = in_force.known_policy(self.name);
        let (policy, said) = match (self.policy, named) {
            (None, Some(named)) => (Some(&named.policy), &named.said),
            (own, _) => (own, Said::NOTHING),
        };
        let quotas = policy.filter(|_| !self.is_per_request).map(|it| it.quotas().clone());
        let tried = policy.and_then(Policy::tried_beside);
        let methods = match &said.methods {
            Some(methods) => methods.names().iter().map(ToString::to_string).collect(),
            None => self.terms.methods.iter().map(ToString::to_string).collect(),
        };
        KnownLimit {
            kind: self.kind,
            name: self.name.to_owned(),
            is_policy: named.is_some(),
            quotas,
            is_in_shadow: policy.is_some_and(Policy::is_in_shadow),
            candidate: tried.map(|(quotas, _)| quotas.clone()),
            rollout_percent: tried.map(|(_, percent)| percent),
            is_per_request: self.is_per_request,
            key: said.key.as_ref().map_or_else(|| self.key.to_owned(), ReadyMade::written),
            missing_key: said.missing.unwrap_or(self.terms.missing),
            cost: said.cost.or(self.cost),
            count: said.count.unwrap_or(self.terms.count),
            methods,
            has_skip: self.has_skip,
            ban: policy.and_then(Policy::own_ban),
            on_error: guard.on_error_of(policy),
            file: self.place.file(),
            line: self.place.line(),
        }
    }
}

impl KnownLimit {
    /// How much it admits, in words.
    pub(crate) fn admits(&self) -> String {
        match &self.quotas {
            Some(quotas) if self.is_in_shadow => format!("{quotas}, in shadow"),
            Some(quotas) => match (&self.candidate, self.rollout_percent) {
                (Some(tried), Some(percent)) => format!("{quotas}, or {tried} for {percent} %"),
                _ => quotas.to_string(),
            },
            None if self.is_per_request => "chosen for each request".to_owned(),
            None => "a policy that the guard has not".to_owned(),
        }
    }

    /// Which answers count, as the attribute writes it.
    pub(crate) fn counted(&self) -> String {
        match self.count {
            Count::Success => "success".to_owned(),
            Count::Failure => "failure".to_owned(),
            Count::Status(status) => format!("status:{status}"),
            Count::Class(class) => format!("status:{class}xx"),
            _ => "all".to_owned(),
        }
    }
}

/// As the attribute writes it.
pub(crate) fn on_error_word(on_error: OnError) -> &'static str {
    match on_error {
        OnError::Closed => "closed",
        OnError::Local => "local",
        _ => "open",
    }
}

/// As the attribute writes it.
pub(crate) fn missing_word(missing: MissingKey) -> &'static str {
    match missing {
        MissingKey::Deny => "deny",
        MissingKey::Skip => "skip",
        _ => "ip",
    }
}
