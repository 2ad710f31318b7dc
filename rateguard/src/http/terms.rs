//! To which requests a limit applies, and what it does with them, beside how much it admits.

use std::{borrow::Cow, sync::Arc};

use actix_web::{HttpRequest, HttpResponse, http::Method};

use super::{client, enforce::Asked, refusal::Refusal};
use crate::{
    AccessList, Caller, Count, Decision, Key, MissingKey, Policy, access::Access, guard::Said,
};

/// Whether a limit does not apply to a request.
pub(super) type Skip = Arc<dyn Fn(&HttpRequest) -> bool + Send + Sync>;

/// The user's answer to a denied request.
pub(super) type OnDenied = Arc<dyn Fn(&HttpRequest, &Decision) -> HttpResponse + Send + Sync>;

/// The same, as a limit has it.
pub(super) enum OnDeniedBy<'a> {
    Shared(&'a OnDenied),
    #[cfg(feature = "macros")]
    Function(fn(&HttpRequest, &Decision) -> HttpResponse),
}

impl OnDeniedBy<'_> {
    pub(super) fn shared(&self) -> OnDenied {
        match self {
            Self::Shared(answer) => Arc::clone(answer),
            #[cfg(feature = "macros")]
            Self::Function(answer) => Arc::new(*answer),
        }
    }
}

#[derive(Clone, Default)]
pub(super) struct Terms {
    /// The methods that it is for; if there are none, all.
    pub(super) methods: Vec<Method>,
    pub(super) skip: Option<Skip>,
    pub(super) missing: MissingKey,
    pub(super) count: Count,
    pub(super) on_denied: Option<OnDenied>,
}

impl Terms {
    /// Whether the limit is for this request.
    pub(super) fn apply_to(&self, said: &Said, request: &HttpRequest) -> bool {
        self.has_method(said, request) && !self.skip.as_ref().is_some_and(|skip| skip(request))
    }

    /// Whether the request has one of the methods that it is for.
    pub(super) fn has_method(&self, said: &Said, request: &HttpRequest) -> bool {
        match &said.methods {
            Some(methods) => methods.names().iter().any(|name| name == request.method().as_str()),
            None => self.methods.is_empty() || self.methods.contains(request.method()),
        }
    }

    /// What the limit asks for this key.
    pub(super) fn asked<'a>(
        &'a self,
        said: &Said,
        policy: Cow<'a, Policy>,
        CountedKey { key, is_shared }: CountedKey,
        cost: u32,
    ) -> Asked<'a> {
        let on_denied = self.on_denied.as_ref().map(OnDeniedBy::Shared);
        let count = said.count.unwrap_or(self.count);
        Asked { policy, key, is_shared, cost, count, on_denied }
    }

    /// What is counted, or `None` if nothing is.
    pub(super) fn key(
        &self,
        said: &Said,
        caller: Caller,
        lists: &[&AccessList],
        request: &HttpRequest,
    ) -> Result<Option<CountedKey>, Refusal> {
        let key = match (caller, said.missing.unwrap_or(self.missing)) {
            (Caller::Known(key), _) => key,
            (Caller::Exempt, _) | (Caller::Unknown, MissingKey::Skip) => return Ok(None),
            (Caller::Unknown, MissingKey::Deny) => return Err(Refusal::Forbidden),
            (Caller::Unknown, _) => client::key(request, None, "no key"),
        };
        // Lists name clients by the keys that they have alone.
        let own = client::own_key(request, &key);
        let named = own.as_ref().unwrap_or(&key);
        let is_unreliable = || client::resolved(request).is_unreliable_key(named);
        let is_allowed = admitted(lists, |list| list.of_key(named, is_unreliable))?;
        Ok((!is_allowed).then_some(CountedKey { key, is_shared: own.is_some() }))
    }
}

/// What a request is counted under.
#[derive(Clone, Copy)]
pub(super) struct CountedKey {
    pub(super) key: Key,
    /// Other clients of its network are counted under it, too.
    pub(super) is_shared: bool,
}

/// Whether the lists free from limits: the first that says something decides.
pub(super) fn admitted(
    lists: &[&AccessList],
    access: impl Fn(&AccessList) -> Access,
) -> Result<bool, Refusal> {
    match lists.iter().map(|list| access(list)).find(|said| *said != Access::Unlisted) {
        Some(Access::Denied) => Err(Refusal::Forbidden),
        Some(Access::Allowed) => Ok(true),
        _ => Ok(false),
    }
}

/// The same of the client's address.
pub(super) fn address_admitted(
    lists: &[&AccessList],
    request: &HttpRequest,
) -> Result<bool, Refusal> {
    if !lists.iter().any(|list| list.has_addresses()) {
        return Ok(false);
    }
    let client = client::resolved(request);
    admitted(lists, |list| list.of_client(client))
}
