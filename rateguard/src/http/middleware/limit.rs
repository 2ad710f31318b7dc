//! What a middleware limits, and its settings.

use std::{borrow::Cow, fmt, panic::Location, sync::Arc};

use actix_web::{HttpRequest, HttpResponse, http::Method};

use crate::{
    AccessList, Ban, BanError, Caller, Count, Decision, MissingKey, OnError, PerRequest, Plan,
    Policy, Quotas, RateError, RateGuard, RequestCost,
    http::{enforce::Asked, legal, per_request::Chooser, refusal::Refusal, terms::Terms},
    key,
    policy::CHOSEN_LATER,
};

/// The name of a limit that was given none. Two of them on one guard are refused at start.
const UNNAMED: &str = "app";

/// A middleware that limits an `App`, a `Scope` or a `Resource`.
///
/// ```
/// # use actix_web::{App, web};
/// # use rateguard::{RateGuard, RateLimit, key};
/// let guard = RateGuard::in_memory();
/// let app = App::new()
///     .service(
///         web::scope("/api")
///             .wrap(RateLimit::new(&guard, "10/second").by(key::header("X-Api-Key")).name("api")),
///     )
///     .wrap(RateLimit::new(&guard, "100/minute"));
/// ```
///
/// A request beyond the limit is answered with 429, as a response and not as an error, so that middlewares around this
/// one, such as actix-cors, act on it. As always in actix-web, what is wrapped last comes first.
#[derive(Clone)]
pub struct RateLimit {
    pub(super) guard: RateGuard,
    /// At least one.
    pub(super) limits: Arc<Vec<Limit>>,
    pub(super) access: Arc<AccessList>,
    pub(super) counts_preflights: bool,
}

#[derive(Clone)]
pub(super) struct Limit {
    pub(super) policy: Policy,
    /// If its quotas are chosen for each request.
    pub(super) plan: Option<Chooser<Plan>>,
    by: Chooser<Caller>,
    cost: Arc<dyn RequestCost>,
    terms: Terms,
    /// Where it was made, if it has no name.
    pub(super) unnamed_at: Option<&'static Location<'static>>,
}

impl RateLimit {
    /// Admits so much for each client address. The quota may be text such as `"100/minute"`, or several such as
    /// `"5/second; 100/minute"`, all of which have to have room.
    ///
    /// # Panics
    ///
    /// If the text is not a legal quota: at start, where the application is put together, not in a request. To handle
    /// it yourself, parse it first: `"100/minute".parse::<Quota>()?`.
    #[must_use]
    #[track_caller]
    pub fn new<Q>(guard: &RateGuard, quotas: Q) -> Self
    where
        Q: TryInto<Quotas, Error: Into<RateError>>,
    {
        Self::of(guard).and(quotas)
    }

    /// Admits as much as is chosen for each request, by a closure or function over `&HttpRequest` that returns a [`Plan`] or
    /// what is taken for one. It may be async, as when a user's plan is looked up.
    ///
    /// ```
    /// # use actix_web::HttpRequest;
    /// # use rateguard::{Plan, RateGuard, RateLimit, key};
    /// # async fn plan_in_database(_: &str) -> Result<Plan, std::io::Error> { Ok(Plan::Unlimited) }
    /// # let guard = RateGuard::in_memory();
    /// let limit = RateLimit::per_request(&guard, async |request: &HttpRequest| {
    ///     let key = request.headers().get("X-Api-Key").and_then(|key| key.to_str().ok());
    ///     plan_in_database(key.unwrap_or_default()).await
    /// });
    /// let limit = limit.by(key::header("X-Api-Key"));
    /// ```
    #[must_use]
    #[track_caller]
    pub fn per_request<Kind>(guard: &RateGuard, plan: impl PerRequest<Plan, Kind>) -> Self {
        Self::of(guard).and_per_request(plan)
    }

    /// Admits as much as the guard's policy of this name says, and shares its counts.
    ///
    /// # Panics
    ///
    /// If the guard was [given](crate::RateGuardBuilder::policy) no policy of this name: at start, where the application is
    /// put together.
    #[must_use]
    #[track_caller]
    pub fn policy(guard: &RateGuard, name: &str) -> Self {
        Self::of(guard).and_policy(name)
    }

    fn of(guard: &RateGuard) -> Self {
        Self {
            guard: guard.clone(),
            limits: Arc::default(),
            access: Arc::default(),
            counts_preflights: false,
        }
    }

    /// Admits so much of something else, too: what follows is said of this further limit. A request passes if all of
    /// them have room, and otherwise takes nothing of any.
    ///
    /// ```
    /// # use rateguard::{RateGuard, RateLimit, key};
    /// # let guard = RateGuard::in_memory();
    /// let both = RateLimit::new(&guard, "10/second")
    ///     .by(key::user())
    ///     .name("per-user")
    ///     .and("1000/second")
    ///     .by(key::header("X-Tenant"))
    ///     .name("per-tenant");
    /// ```
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    #[must_use]
    #[track_caller]
    pub fn and<Q>(self, quotas: Q) -> Self
    where
        Q: TryInto<Quotas, Error: Into<RateError>>,
    {
        let policy = legal(Policy::new(self.next_name(), quotas));
        self.and_limit(policy, None, Some(Location::caller()))
    }

    /// Admits as much as is chosen for each request of something else, too: [`per_request`](Self::per_request) as
    /// [`and`](Self::and).
    #[must_use]
    #[track_caller]
    pub fn and_per_request<Kind>(self, plan: impl PerRequest<Plan, Kind>) -> Self {
        let policy = legal(Policy::new(self.next_name(), CHOSEN_LATER));
        self.and_limit(policy, Some(plan.into_chooser()), Some(Location::caller()))
    }

    /// Admits as much as the guard's policy of this name says of something else, too: [`policy`](Self::policy) as
    /// [`and`](Self::and).
    ///
    /// # Panics
    ///
    /// As [`policy`](Self::policy).
    #[must_use]
    #[track_caller]
    pub fn and_policy(self, name: &str) -> Self {
        let unknown = || format!("the guard was given no policy named `{name}`");
        let policy = legal(self.guard.policy(name).cloned().ok_or_else(unknown));
        self.and_limit(policy, None, None)
    }

    fn next_name(&self) -> String {
        match self.limits.len() {
            0 => UNNAMED.to_owned(),
            others => format!("{UNNAMED}#{}", others + 1),
        }
    }

    fn and_limit(
        mut self,
        policy: Policy,
        plan: Option<Chooser<Plan>>,
        unnamed_at: Option<&'static Location<'static>>,
    ) -> Self {
        let by = key::ip().into_chooser();
        let limit =
            Limit { policy, plan, by, cost: Arc::new(1), terms: Terms::default(), unnamed_at };
        Arc::make_mut(&mut self.limits).push(limit);
        self
    }

    /// Who is counted together: a ready-made key from [`key`](crate::key), or a closure or function over `&HttpRequest`,
    /// which may be async and may fail; see [`Caller`]. Default: [`key::ip`].
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
        self.with(|limit| limit.by = key.into_chooser())
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
    /// braces in it.
    #[must_use]
    #[track_caller]
    pub fn name(self, name: impl Into<Cow<'static, str>>) -> Self {
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
    /// If the text is not a legal ban: at start, where the application is put together.
    #[must_use]
    #[track_caller]
    pub fn ban<B>(self, ban: B) -> Self
    where
        B: TryInto<Ban, Error: Into<BanError>>,
    {
        let ban = legal(ban.try_into().map_err(Into::into));
        self.with(|limit| limit.policy = limit.policy.clone().escalating(Some(ban)))
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
    #[must_use]
    pub fn on_error(self, on_error: OnError) -> Self {
        self.with(|limit| limit.policy = limit.policy.clone().on_error(on_error))
    }

    /// Changes the limit that was made last.
    fn with(mut self, change: impl FnOnce(&mut Limit)) -> Self {
        Arc::make_mut(&mut self.limits).last_mut().map(change);
        self
    }
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policies: Vec<_> = self.limits.iter().map(|limit| &limit.policy).collect();
        f.debug_struct("RateLimit").field("policies", &policies).finish_non_exhaustive()
    }
}

impl Limit {
    /// What it asks of a request, if it applies to it.
    pub(super) async fn asked<'a>(
        &'a self,
        lists: &[&AccessList],
        request: &HttpRequest,
    ) -> Result<Option<Asked<'a>>, Refusal> {
        if !self.terms.apply_to(request) {
            return Ok(None);
        }
        let policy = match &self.plan {
            None => Cow::Borrowed(&self.policy),
            Some(plan) => match plan.choose(request).await.map_err(Refusal::Error)? {
                Plan::Unlimited => return Ok(None),
                Plan::Limited(quotas) => Cow::Owned(self.policy.with_quotas(quotas)),
            },
        };
        let caller = self.by.choose(request).await.map_err(Refusal::Error)?;
        self.terms.asked(policy, caller, self.cost.cost(request), lists, request)
    }
}

/// Whether the cost is not a number that is never admitted.
pub(super) fn payable(limit: &Limit) -> Result<(), String> {
    let (name, most) = (limit.policy.name(), limit.policy.quotas().max_cost());
    match limit.cost.constant() {
        Some(cost) if limit.plan.is_none() && cost > most => Err(format!(
            "the limit `{name}` admits no more than {most} at once, and each request costs {cost}; nothing would ever pass"
        )),
        _ => Ok(()),
    }
}

/// Whether no two limits of one middleware have one name.
pub(super) fn named_apart(limits: &[Limit]) -> Result<(), String> {
    for (place, limit) in limits.iter().enumerate() {
        let name = limit.policy.name();
        if limits[..place].iter().any(|other| other.policy.name() == name) {
            return Err(format!(
                "two limits of one middleware are named `{name}`; give each its own"
            ));
        }
    }
    Ok(())
}
