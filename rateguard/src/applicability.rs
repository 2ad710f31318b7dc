//! The scope of a limit: the settings that determine to which requests the limit applies, which responses count,
//! and how the limit treats a request without a key and a rejected request.

use std::{sync::Arc, time::Duration};

use actix_rateguard_core::adapter::{RouteOverrides, ThrottledLog};
use actix_web::{HttpRequest, http::Method};

use crate::{
    Caller, Key, MissingKey, Policy, Quotas, client,
    count_rule::CountRule,
    limit_check::{KeySource, LimitCheck},
    limit_context::LimitContext,
    not_checked::{Exemption, NotChecked, RejectReason},
    on_reject::OnReject,
    per_request::RequestResolver,
};

/// The settings of a limit that are not part of its policy, its key or its cost.
#[derive(Clone, Default)]
pub(crate) struct LimitScope {
    /// The methods that the limit applies to. If the list is empty, the limit applies to all methods.
    pub(crate) methods: Vec<Method>,
    /// The function of the application that returns whether a request is exempt from the limit.
    pub(crate) skip: Option<RequestResolver<bool>>,
    /// The patterns of the routes to which the limit does not apply.
    pub(crate) exempt_routes: Vec<String>,
    pub(crate) missing: MissingKey,
    /// The quotas for requests whose plan is not known. `None` if such requests get an error response.
    pub(crate) plan_fallback: Option<Arc<Quotas>>,
    /// Limits the log messages about plans that are not known.
    pub(crate) plan_error_log: Arc<ThrottledLog>,
    /// Whether the header fields of a response do not report the limit.
    pub(crate) hides_headers: bool,
    /// Whether a request that the limit denies still reaches its handler, which can read the decision.
    pub(crate) is_permissive: bool,
    pub(crate) count: CountRule,
    /// The maximum time that a request waits for room. Zero if the limit denies it immediately.
    pub(crate) wait: Duration,
    pub(crate) on_reject: Option<OnReject>,
}

impl LimitScope {
    /// Returns an error if the limit does not apply to this request.
    ///
    /// # Errors
    ///
    /// [`NotChecked::Exempt`] with the reason, or [`NotChecked::Failed`] with the error of the `skip` function.
    pub(crate) async fn check_applies(
        &self,
        overrides: &RouteOverrides,
        request: &HttpRequest,
    ) -> Result<(), NotChecked> {
        if !self.has_method(overrides, request) {
            return Err(NotChecked::Exempt(Exemption::Method));
        }
        if !self.exempt_routes.is_empty()
            && let Some(pattern) = crate::replaced_limits::pattern(request)
            && self.exempt_routes.contains(&pattern)
        {
            return Err(NotChecked::Exempt(Exemption::Route));
        }
        match &self.skip {
            Some(skip) if skip.resolve(request).await.map_err(NotChecked::Failed)? => {
                Err(NotChecked::Exempt(Exemption::Skip))
            }
            _ => Ok(()),
        }
    }

    /// Returns whether the limit applies to the method of this request.
    pub(crate) fn has_method(&self, overrides: &RouteOverrides, request: &HttpRequest) -> bool {
        let applies_to = |listed: &str| includes(listed, request.method());
        match &overrides.methods {
            Some(methods) => methods.names().iter().any(|name| applies_to(name)),
            None => {
                self.methods.is_empty() || self.methods.iter().any(|it| applies_to(it.as_str()))
            }
        }
    }

    /// Builds the check that compares a request with this limit.
    pub(crate) fn check(
        &self,
        overrides: &RouteOverrides,
        policy: Policy,
        CountedKey { key, counted_by, is_shared }: CountedKey,
        cost: u32,
    ) -> LimitCheck {
        let count = self.count.overridden_by(overrides.count);
        let (hides_headers, is_permissive) =
            (self.hides_headers(overrides), self.is_permissive(overrides));
        let on_reject = self.on_reject.clone();
        LimitCheck {
            policy,
            is_overridden: false,
            key,
            counted_by,
            is_shared,
            cost,
            wait: overrides.wait.unwrap_or(self.wait),
            holds_permit: false,
            count,
            on_reject,
            hides_headers,
            is_permissive,
            is_replaceable: false,
            is_denied: false,
        }
    }

    /// Returns whether the header fields of a response do not report the limit.
    pub(crate) fn hides_headers(&self, overrides: &RouteOverrides) -> bool {
        overrides.headers.map_or(self.hides_headers, |headers| !headers)
    }

    /// Returns whether a request that the limit denies still reaches its handler.
    pub(crate) fn is_permissive(&self, overrides: &RouteOverrides) -> bool {
        overrides.permissive.unwrap_or(self.is_permissive)
    }

    /// Returns the key by which the limit counts the request.
    ///
    /// # Errors
    ///
    /// [`NotChecked`] if the request is exempt, if the request lacks a required key, or if an access list allows or
    /// denies the key.
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
        // `key` may be a key that several clients of an IPv6 network share. Access lists contain no shared keys, so
        // the guard searches them for the key that only this client has.
        let own_key = client::own_key(request, &key);
        let listed_key = own_key.as_ref().unwrap_or(&key);
        let is_unreliable = || client::resolved(request).is_unreliable_key(listed_key);
        context.check_key(listed_key, is_unreliable)?;
        Ok(CountedKey { key, counted_by, is_shared: own_key.is_some() })
    }
}

/// Returns whether a limit for the method `listed` applies to a request with this method.
///
/// `GET` includes `HEAD`, because a `HEAD` request makes the handler of a `GET` route do the same work (RFC 9110,
/// section 9.3.2). Otherwise a client could avoid the limit with `HEAD` requests.
fn includes(listed: &str, method: &Method) -> bool {
    listed == method.as_str() || (*method == Method::HEAD && listed == Method::GET.as_str())
}

/// The key by which a limit counts a request.
#[derive(Clone, Copy)]
pub(crate) struct CountedKey {
    pub(crate) key: Key,
    pub(crate) counted_by: KeySource,
    /// Whether other clients of the same IPv6 network share this key.
    pub(crate) is_shared: bool,
}
