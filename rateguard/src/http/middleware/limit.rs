//! What a middleware limits, and its settings.

use std::{borrow::Cow, fmt, panic::Location, sync::Arc};

use actix_web::HttpRequest;

use crate::{
    AccessList, Caller, PerRequest, Plan, Policy, Quotas, RateError, RateGuard, RequestCost,
    guard::{InForce, Said},
    http::{
        enforce::Asked,
        in_force::{named, quotas_of},
        legal,
        per_request::Chooser,
        refusal::Refusal,
        terms::Terms,
    },
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
    pub(in crate::http) limits: Arc<Vec<Limit>>,
    pub(in crate::http) access: Arc<AccessList>,
    pub(in crate::http) counts_preflights: bool,
}

#[derive(Clone)]
pub(in crate::http) struct Limit {
    pub(in crate::http) policy: Policy,
    /// It is the guard's policy of this name, as it was when the application was put together.
    pub(in crate::http) is_of_guard: bool,
    /// If its quotas are chosen for each request.
    pub(in crate::http) plan: Option<Chooser<Plan>>,
    pub(in crate::http) by: Chooser<Caller>,
    /// As the attribute writes it, or `function`.
    pub(in crate::http) by_text: Arc<str>,
    pub(in crate::http) cost: Arc<dyn RequestCost>,
    pub(in crate::http) terms: Terms,
    pub(in crate::http) place: &'static Location<'static>,
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
        self.and_limit(policy, false, None, Some(Location::caller()))
    }

    /// Admits as much as is chosen for each request of something else, too: [`per_request`](Self::per_request) as
    /// [`and`](Self::and).
    #[must_use]
    #[track_caller]
    pub fn and_per_request<Kind>(self, plan: impl PerRequest<Plan, Kind>) -> Self {
        let policy = legal(Policy::new(self.next_name(), CHOSEN_LATER));
        self.and_limit(policy, false, Some(plan.into_chooser()), Some(Location::caller()))
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
        let policy = legal(self.guard.policy(name).ok_or_else(unknown));
        self.and_limit(policy, true, None, None)
    }

    fn next_name(&self) -> String {
        match self.limits.len() {
            0 => UNNAMED.to_owned(),
            others => format!("{UNNAMED}#{}", others + 1),
        }
    }

    #[track_caller]
    fn and_limit(
        mut self,
        policy: Policy,
        is_of_guard: bool,
        plan: Option<Chooser<Plan>>,
        unnamed_at: Option<&'static Location<'static>>,
    ) -> Self {
        let limit = Limit {
            policy,
            is_of_guard,
            plan,
            by: key::ip().into_chooser(),
            by_text: "ip".into(),
            cost: Arc::new(1),
            terms: Terms::default(),
            place: Location::caller(),
            unnamed_at,
        };
        Arc::make_mut(&mut self.limits).push(limit);
        self
    }

    /// Changes the limit that was made last.
    pub(super) fn with(mut self, change: impl FnOnce(&mut Limit)) -> Self {
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
        in_force: &'a InForce,
        lists: &[&AccessList],
        request: &HttpRequest,
    ) -> Result<Option<Asked<'a>>, Refusal> {
        let (policy, said) = self.policy(in_force)?;
        if !self.terms.apply_to(said, request) {
            return Ok(None);
        }
        let caller = match &said.key {
            Some(key) => key.caller(request),
            None => self.by.choose(request).await.map_err(Refusal::Error)?,
        };
        // Who is on a list is refused whatever its plan is.
        let Some(key) = self.terms.key(said, caller, lists, request)? else { return Ok(None) };
        let policy = match &self.plan {
            None => Cow::Borrowed(policy),
            Some(plan) => {
                let plan = plan.choose(request).await.map_err(Refusal::Error)?;
                let Some(quotas) = quotas_of(plan, in_force)? else { return Ok(None) };
                Cow::Owned(policy.with_quotas(quotas))
            }
        };
        let cost = said.cost.unwrap_or_else(|| self.cost.cost(request));
        Ok(Some(self.terms.asked(said, policy, key, cost)))
    }

    /// What goes before what it says itself.
    pub(in crate::http) fn said<'a>(&self, in_force: &'a InForce) -> &'a Said {
        let named = in_force.known_policy(self.policy.name()).filter(|_| self.is_of_guard);
        named.map_or(Said::NOTHING, |named| &named.said)
    }

    /// Its policy, and what goes before what it says itself.
    fn policy<'a>(&'a self, in_force: &'a InForce) -> Result<(&'a Policy, &'a Said), Refusal> {
        if !self.is_of_guard {
            return Ok((&self.policy, Said::NOTHING));
        }
        let named = named(in_force, self.policy.name(), "a middleware")?;
        Ok((&named.policy, &named.said))
    }

    /// Tells what is in force what it has to be good for, also when it changes.
    pub(super) fn note_use(&self, in_force: &InForce) {
        if self.is_of_guard
            && let Some(cost) = self.cost.constant()
        {
            in_force.note_cost(self.policy.name(), cost);
        }
    }
}

/// Whether the cost is not a number that is never admitted.
pub(super) fn payable(limit: &Limit, in_force: &InForce) -> Result<(), String> {
    let named = in_force.policy(limit.policy.name()).filter(|_| limit.is_of_guard);
    let policy = named.map_or(&limit.policy, |named| &named.policy);
    let (name, most) = (policy.name(), policy.max_cost());
    match named.and_then(|named| named.said.cost).or(limit.cost.constant()) {
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
