//! The settings of a limit: all but how much it admits.

use std::{borrow::Cow, sync::Arc};

use actix_web::{HttpRequest, HttpResponse, http::Method};

use super::limit::{Limit, RateLimit};
use crate::{
    AccessList, Ban, BanError, Caller, Count, Decision, MissingKey, OnError, PerRequest, Policy,
    PolicyError, Quotas, RateError, RequestCost,
    http::{inventory::FUNCTION, legal},
};

/// What is set is set for the limit that was made last, unless it says otherwise.
impl RateLimit {
    /// Who is counted together: a ready-made key from [`key`](crate::key), or a closure or function over `&HttpRequest`,
    /// which may be async and may fail; see [`Caller`]. Default: [`key::ip`](crate::key::ip).
    ///
    /// ```
    /// # use actix_web::HttpRequest;
    /// # use rateguard::{Key, RateGuard, RateLimit};
    /// # let guard = RateGuard::in_memory();
    /// let per_tenant = RateLimit::new(&guard, "100/minute").by(|request: &HttpRequest| {
    ///     let tenant = request.headers().get("X-Tenant")?;
    ///     Some(Key::from(tenant.as_bytes()))
    /// });
    /// ```
    #[must_use]
    pub fn by<Kind>(self, key: impl PerRequest<Caller, Kind>) -> Self {
        let text = key.notation().unwrap_or_else(|| FUNCTION.to_owned());
        self.with(|limit| {
            limit.by = key.into_chooser();
            limit.by_text = text.into();
        })
    }

    /// What happens to a request that has no key. Default: [`MissingKey::Ip`], it is counted by address.
    #[must_use]
    pub fn missing_key(self, missing: MissingKey) -> Self {
        self.with(|limit| limit.terms.missing = missing)
    }

    /// The name, in keys and logs. Default: `app`. Limits of one name and one guard share their counts, so each needs a
    /// name of its own as soon as there are two.
    ///
    /// # Panics
    ///
    /// If the name is empty, longer than 200 bytes or has anything but letters, digits and ASCII punctuation without
    /// braces in it; or if the limit takes a policy of the guard, which has a name.
    #[must_use]
    #[track_caller]
    pub fn name(self, name: impl Into<Cow<'static, str>>) -> Self {
        legal(self.says_itself("name"));
        let Some(Limit { policy, .. }) = self.limits.last() else { return self };
        let policy = legal(policy.clone().named(&name.into()));
        self.with(|limit| {
            limit.policy = policy;
            limit.unnamed_at = None;
        })
    }

    /// How many units a request costs: a number, or a closure or function over `&HttpRequest`. Default: 1.
    ///
    /// A request that costs more than the limit is denied, however long it waits, and one that costs 0 is always
    /// admitted. A number above the limit is refused when the application starts.
    #[must_use]
    pub fn cost(self, cost: impl RequestCost) -> Self {
        self.with(|limit| limit.cost = Arc::new(cost))
    }

    /// Which answers make a request count. Default: [`Count::All`].
    ///
    /// Where not all do, a request takes its place before it is handled, and gives it back when its answer does not
    /// count. So however many come at once, no more of those that count get through than the limit. A request whose
    /// answer never comes to be, because the client has gone away, counts.
    #[must_use]
    pub fn count(self, count: Count) -> Self {
        self.with(|limit| limit.terms.count = count)
    }

    /// Only requests with one of these methods are limited. Default: all are, whatever their method, and share one count.
    #[must_use]
    pub fn methods(self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.with(|limit| limit.terms.methods = methods.into_iter().collect())
    }

    /// Requests for which this holds are not limited: health checks, the application's own machines.
    ///
    /// ```
    /// # use actix_web::HttpRequest;
    /// # use rateguard::{RateGuard, RateLimit};
    /// # let guard = RateGuard::in_memory();
    /// let limit = RateLimit::new(&guard, "100/minute")
    ///     .skip(|request: &HttpRequest| request.path() == "/health");
    /// ```
    #[must_use]
    pub fn skip(self, skip: impl Fn(&HttpRequest) -> bool + Send + Sync + 'static) -> Self {
        self.with(|limit| limit.terms.skip = Some(Arc::new(skip)))
    }

    /// Bans who is denied too often: a [`Ban`], or text such as `"10/hour for 15m up to 1d"`.
    ///
    /// # Panics
    ///
    /// If the text is not a legal ban, or the limit takes a policy of the guard, which says who is banned: at start, where
    /// the application is put together.
    #[must_use]
    #[track_caller]
    pub fn ban<B>(self, ban: B) -> Self
    where
        B: TryInto<Ban, Error: Into<BanError>>,
    {
        legal(self.says_itself("ban"));
        let ban = legal(ban.try_into().map_err(Into::into));
        self.with(|limit| limit.policy = limit.policy.clone().escalating(Some(ban)))
    }

    /// Tries this limit: it decides and counts, and refuses nobody. See [`Policy::shadow`](crate::Policy::shadow).
    ///
    /// # Panics
    ///
    /// If the limit takes a policy of the guard, which says it: at start, where the application is put together.
    #[must_use]
    #[track_caller]
    pub fn shadow(self) -> Self {
        legal(self.says_itself("shadow"));
        self.with(|limit| limit.policy = limit.policy.clone().shadow())
    }

    /// Tries other quotas beside those that are enforced. See [`Policy::candidate`](crate::Policy::candidate).
    ///
    /// # Panics
    ///
    /// If the text is not a legal quota, or the limit is in shadow itself or takes a policy of the guard: at start, where the
    /// application is put together.
    #[must_use]
    #[track_caller]
    pub fn candidate<Q>(self, quotas: Q) -> Self
    where
        Q: TryInto<Quotas, Error: Into<RateError>>,
    {
        legal(self.says_itself("candidate"));
        self.with_policy(|policy| policy.candidate(quotas))
    }

    /// Enforces the candidate for so many percent of the keys. See [`Policy::rollout`](crate::Policy::rollout).
    ///
    /// # Panics
    ///
    /// If it is above 100, or the limit has no candidate: at start, where the application is put together.
    #[must_use]
    #[track_caller]
    pub fn rollout(self, percent: u8) -> Self {
        legal(self.says_itself("rollout"));
        self.with_policy(|policy| policy.rollout(percent))
    }

    #[track_caller]
    fn with_policy(self, change: impl FnOnce(Policy) -> Result<Policy, PolicyError>) -> Self {
        let Some(Limit { policy, .. }) = self.limits.last() else { return self };
        let policy = legal(change(policy.clone()));
        self.with(|limit| limit.policy = policy)
    }

    /// Answers the requests that this limit denies in your own way; see
    /// [`RateGuardBuilder::on_denied`](crate::RateGuardBuilder::on_denied), which is the default.
    #[must_use]
    pub fn on_denied(
        self,
        answer: impl Fn(&HttpRequest, &Decision) -> HttpResponse + Send + Sync + 'static,
    ) -> Self {
        self.with(|limit| limit.terms.on_denied = Some(Arc::new(answer)))
    }

    /// Who is never limited here, and who is always refused, besides those on the guard's own list. It is for all limits of
    /// this middleware.
    #[must_use]
    pub fn access(mut self, list: AccessList) -> Self {
        self.access = Arc::new(list);
        self
    }

    /// Limits CORS preflights, too. By default they pass: a browser sends them by itself, and a script whose preflight is
    /// refused cannot even read why. What looks like one has a method `OPTIONS` and the fields `Origin` and
    /// `Access-Control-Request-Method`; anybody can send that, so count them where `OPTIONS` does work of its own. It is for
    /// all limits of this middleware.
    #[must_use]
    pub fn count_preflights(mut self) -> Self {
        self.counts_preflights = true;
        self
    }

    /// What happens to a request when the store does not answer. Default: what the guard says.
    ///
    /// # Panics
    ///
    /// If the limit takes a policy of the guard, which says it: at start, where the application is put together.
    #[must_use]
    #[track_caller]
    pub fn on_error(self, on_error: OnError) -> Self {
        legal(self.says_itself("on_error"));
        self.with(|limit| limit.policy = limit.policy.clone().on_error(on_error))
    }

    /// Whether the limit that was made last says this itself, rather than its policy.
    fn says_itself(&self, what: &str) -> Result<(), String> {
        match self.limits.last() {
            Some(limit) if limit.is_of_guard => Err(format!(
                "the policy `{}` already says this; leave `{what}` out",
                limit.policy.name()
            )),
            _ => Ok(()),
        }
    }
}
