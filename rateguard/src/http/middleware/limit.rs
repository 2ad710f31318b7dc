//! What a middleware limits, and its settings.

use std::{borrow::Cow, fmt, panic::Location, sync::Arc};

use actix_web::HttpRequest;

use crate::{
    Count, OnError, Policy, Quotas, RateError, RateGuard, RequestCost,
    http::enforce::Asked,
    key::{self, RequestKey, key_or_address},
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
}

#[derive(Clone)]
pub(super) struct Limit {
    pub(super) policy: Policy,
    by: Arc<dyn RequestKey>,
    cost: Arc<dyn RequestCost>,
    count: Count,
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
        Self { guard: guard.clone(), limits: Arc::default() }.and(quotas)
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
    pub fn and<Q>(mut self, quotas: Q) -> Self
    where
        Q: TryInto<Quotas, Error: Into<RateError>>,
    {
        let name = match self.limits.len() {
            0 => UNNAMED.to_owned(),
            others => format!("{UNNAMED}#{}", others + 1),
        };
        let limit = Limit {
            policy: legal(Policy::new(name, quotas)),
            by: Arc::new(key::ip()),
            cost: Arc::new(1),
            count: Count::All,
            unnamed_at: Some(Location::caller()),
        };
        Arc::make_mut(&mut self.limits).push(limit);
        self
    }

    /// Who is counted together: a ready-made key from [`key`](crate::key), or a closure over `&HttpRequest`. Default:
    /// [`key::ip`].
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
    pub fn by(self, key: impl RequestKey) -> Self {
        self.with(|limit| limit.by = Arc::new(key))
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
        self.with(|limit| limit.count = count)
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

/// The value, or a clear word at start.
#[track_caller]
#[allow(
    clippy::panic,
    reason = "a mistake of the program, found where the application is put together"
)]
pub(super) fn legal<T>(value: Result<T, impl fmt::Display>) -> T {
    // Not in a closure, which would hide the caller's place.
    match value {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policies: Vec<_> = self.limits.iter().map(|limit| &limit.policy).collect();
        f.debug_struct("RateLimit").field("policies", &policies).finish_non_exhaustive()
    }
}

impl Limit {
    pub(super) fn asked<'a>(&'a self, request: &HttpRequest) -> Asked<'a> {
        Asked {
            policy: &self.policy,
            key: key_or_address(self.by.key(request), request),
            cost: self.cost.cost(request),
            count: self.count,
        }
    }
}

/// Whether the cost is not a number that is never admitted.
pub(super) fn payable(limit: &Limit) -> Result<(), String> {
    let (name, most) = (limit.policy.name(), limit.policy.quotas().max_cost());
    match limit.cost.constant() {
        Some(cost) if cost > most => Err(format!(
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
