//! The scope of a limit: which requests the limit applies to, and its rules for missing keys, counting and denials.

use std::{borrow::Cow, sync::Arc};

use actix_rateguard_core::adapter::{Access, RouteOverrides};
use actix_web::{HttpRequest, http::Method};

use crate::{
    AccessList, Caller, Count, Key, MissingKey, Policy, client,
    limit_check::LimitCheck,
    on_denied::{OnDenied, OnDeniedRef},
    response::Rejection,
};

/// A function that returns whether a request is exempt from a limit.
pub(crate) type Skip = Arc<dyn Fn(&HttpRequest) -> bool + Send + Sync>;

/// The settings of a limit that do not belong to its policy, key or cost.
#[derive(Clone, Default)]
pub(crate) struct LimitScope {
    /// The methods that the limit applies to. Empty: all methods.
    pub(crate) methods: Vec<Method>,
    pub(crate) skip: Option<Skip>,
    pub(crate) missing: MissingKey,
    pub(crate) count: Count,
    pub(crate) on_denied: Option<OnDenied>,
}

impl LimitScope {
    /// Returns whether the limit applies to this request.
    pub(crate) fn applies_to(&self, overrides: &RouteOverrides, request: &HttpRequest) -> bool {
        self.has_method(overrides, request) && !self.skip.as_ref().is_some_and(|skip| skip(request))
    }

    /// Returns whether the limit applies to the method of this request.
    pub(crate) fn has_method(&self, overrides: &RouteOverrides, request: &HttpRequest) -> bool {
        match &overrides.methods {
            Some(methods) => methods.names().iter().any(|name| name == request.method().as_str()),
            None => self.methods.is_empty() || self.methods.contains(request.method()),
        }
    }

    /// Builds the check of a request against this limit.
    pub(crate) fn check<'a>(
        &'a self,
        overrides: &RouteOverrides,
        policy: Cow<'a, Policy>,
        CountedKey { key, is_shared }: CountedKey,
        cost: u32,
    ) -> LimitCheck<'a> {
        let on_denied = self.on_denied.as_ref().map(OnDeniedRef::Shared);
        let count = overrides.count.unwrap_or(self.count);
        LimitCheck { policy, key, is_shared, cost, count, on_denied }
    }

    /// Returns the key by which the limit counts the request, or `None` if the request is exempt.
    ///
    /// # Errors
    ///
    /// [`Rejection::Forbidden`] if an access list denies the key, or if a required key is missing.
    pub(crate) fn key(
        &self,
        overrides: &RouteOverrides,
        caller: Caller,
        lists: &[&AccessList],
        request: &HttpRequest,
    ) -> Result<Option<CountedKey>, Rejection> {
        let key = match (caller, overrides.missing.unwrap_or(self.missing)) {
            (Caller::Known(key), _) => key,
            (Caller::Exempt, _) | (Caller::Unknown, MissingKey::Skip) => return Ok(None),
            (Caller::Unknown, MissingKey::Deny) => return Err(Rejection::Forbidden),
            (Caller::Unknown, _) => client::key(request, None, "no key"),
        };
        // Access lists contain the client's own key, so they are compared with that key, even while the client has a
        // shared key.
        let own_key = client::own_key(request, &key);
        let listed_key = own_key.as_ref().unwrap_or(&key);
        let is_unreliable = || client::resolved(request).is_unreliable_key(listed_key);
        let is_allowed = check_access_lists(lists, |list| list.of_key(listed_key, is_unreliable))?;
        Ok((!is_allowed).then_some(CountedKey { key, is_shared: own_key.is_some() }))
    }
}

/// The key by which a limit counts a request.
#[derive(Clone, Copy)]
pub(crate) struct CountedKey {
    pub(crate) key: Key,
    /// Whether other clients of the same IPv6 network share this key.
    pub(crate) is_shared: bool,
}

/// Returns whether the access lists exempt a request. The first list with an entry for the request decides.
///
/// # Errors
///
/// [`Rejection::Forbidden`] if that entry denies the request.
pub(crate) fn check_access_lists(
    lists: &[&AccessList],
    access: impl Fn(&AccessList) -> Access,
) -> Result<bool, Rejection> {
    match lists.iter().map(|list| access(list)).find(|access| *access != Access::Unlisted) {
        Some(Access::Denied) => Err(Rejection::Forbidden),
        Some(Access::Allowed) => Ok(true),
        _ => Ok(false),
    }
}

/// Applies the access lists to the client's address, as [`check_access_lists`].
pub(crate) fn check_address_lists(
    lists: &[&AccessList],
    request: &HttpRequest,
) -> Result<bool, Rejection> {
    if !lists.iter().any(|list| list.has_addresses()) {
        return Ok(false);
    }
    let client = client::resolved(request);
    check_access_lists(lists, |list| list.of_client(client))
}
