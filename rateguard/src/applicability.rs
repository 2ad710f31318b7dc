//! The scope of a limit: which requests the limit applies to, and its rules for missing keys, counting and denials.

use std::{borrow::Cow, sync::Arc};

use actix_rateguard_core::adapter::RouteOverrides;
use actix_web::{HttpRequest, http::Method};

use crate::{
    Caller, Count, Key, MissingKey, Policy, client,
    limit_check::{KeySource, LimitCheck},
    limit_context::LimitContext,
    not_checked::{Exemption, NotChecked, RejectReason},
    on_denied::{OnDenied, OnDeniedRef},
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
    /// Returns why the limit does not apply to this request, or `None` if the limit applies.
    pub(crate) fn exemption(
        &self,
        overrides: &RouteOverrides,
        request: &HttpRequest,
    ) -> Option<Exemption> {
        if !self.has_method(overrides, request) {
            return Some(Exemption::Method);
        }
        self.skip.as_ref().is_some_and(|skip| skip(request)).then_some(Exemption::Skip)
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
        CountedKey { key, counted_by, is_shared }: CountedKey,
        cost: u32,
    ) -> LimitCheck<'a> {
        let on_denied = self.on_denied.as_ref().map(OnDeniedRef::Shared);
        let count = overrides.count.unwrap_or(self.count);
        LimitCheck { policy, key, counted_by, is_shared, cost, count, on_denied }
    }

    /// Returns the key by which the limit counts the request.
    ///
    /// # Errors
    ///
    /// The request is exempt, lacks a required key, or has a key that an access list contains.
    pub(crate) fn key(
        &self,
        context: &LimitContext<'_>,
        overrides: &RouteOverrides,
        caller: Caller,
        request: &HttpRequest,
    ) -> Result<CountedKey, NotChecked> {
        let (key, counted_by) = match (caller, overrides.missing.unwrap_or(self.missing)) {
            (Caller::Known(key), _) => (key, KeySource::Key),
            (Caller::Exempt, _) => return Err(NotChecked::Exempt(Exemption::KeyFunction)),
            (Caller::Unknown, MissingKey::Skip) => {
                return Err(NotChecked::Exempt(Exemption::NoKey));
            }
            (Caller::Unknown, MissingKey::Deny) => {
                return Err(NotChecked::Forbidden(RejectReason::NoKey));
            }
            (Caller::Unknown, _) => (client::key(request, None, "no key"), KeySource::Address),
        };
        // Access lists contain the client's own key, so they are compared with that key, even while the client has a
        // shared key.
        let own_key = client::own_key(request, &key);
        let listed_key = own_key.as_ref().unwrap_or(&key);
        let is_unreliable = || client::resolved(request).is_unreliable_key(listed_key);
        context.check_key(listed_key, is_unreliable)?;
        Ok(CountedKey { key, counted_by, is_shared: own_key.is_some() })
    }
}

/// The key by which a limit counts a request.
#[derive(Clone, Copy)]
pub(crate) struct CountedKey {
    pub(crate) key: Key,
    pub(crate) counted_by: KeySource,
    /// Whether other clients of the same IPv6 network share this key.
    pub(crate) is_shared: bool,
}
