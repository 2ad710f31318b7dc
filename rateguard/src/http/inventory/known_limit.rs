//! One limit, as it was written.

use std::{fmt, panic::Location};

use crate::{Ban, Count, MissingKey, OnError, Policy, Quotas, RateGuard, http::terms::Terms};

/// A limit that is known before any request comes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KnownLimit {
    /// What it is.
    pub kind: LimitKind,
    /// Its name, in keys and logs.
    pub name: String,
    /// Whether that is the name of a policy that the guard was [given](crate::RateGuardBuilder::policy).
    pub is_policy: bool,
    /// How much it admits; `None` if that is chosen for each request, or the guard has no policy of this name.
    pub quotas: Option<Quotas>,
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

/// What is said of every limit, whichever kind it is.
pub(super) struct Written<'a> {
    pub(super) kind: LimitKind,
    pub(super) name: &'a str,
    /// If it has one of its own, or had when it was made.
    pub(super) policy: Option<&'a Policy>,
    pub(super) is_per_request: bool,
    pub(super) key: &'a str,
    pub(super) cost: Option<u32>,
    pub(super) has_skip: bool,
    pub(super) terms: &'a Terms,
    pub(super) place: &'static Location<'static>,
}

impl Written<'_> {
    pub(super) fn known(self, guard: &RateGuard) -> KnownLimit {
        // Policies with a name are what they are now.
        let named = guard.policy_now(self.name);
        let policy = named.as_ref().or(self.policy);
        let quotas = policy.filter(|_| !self.is_per_request).map(|it| it.quotas().clone());
        KnownLimit {
            kind: self.kind,
            name: self.name.to_owned(),
            is_policy: named.is_some(),
            quotas,
            is_per_request: self.is_per_request,
            key: self.key.to_owned(),
            missing_key: self.terms.missing,
            cost: self.cost,
            count: self.terms.count,
            methods: self.terms.methods.iter().map(ToString::to_string).collect(),
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
            Some(quotas) => quotas.to_string(),
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
