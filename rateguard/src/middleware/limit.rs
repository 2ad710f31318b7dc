//! The limit that an application creates for a middleware.

use std::fmt::{self, Display};

use actix_rateguard_core::adapter::PLACEHOLDER_QUOTA;

use super::{limit_error::InvalidSetting, policy_settings::PolicySettings};
use crate::{
    Caller, PerRequest, Plan, Quota, Quotas,
    applicability::LimitScope,
    cost::{CostSource, IntoCost},
    key::{self, LimitKey},
    per_request::RequestResolver,
};

/// A limit of a [`RateLimit`](crate::RateLimit) middleware, with its quotas and its settings.
///
/// ```
/// # use actix_rateguard::{Limit, RateGuard, RateLimit};
/// # let guard = RateGuard::in_memory();
/// let logins = Limit::new("5/minute; 100/day")
///     .key("header:X-Api-Key")
///     .name("logins")
///     .count("failure")
///     .on_error("closed");
/// let middleware = RateLimit::new(&guard, logins);
/// ```
///
/// The settings have the same names, values and defaults as the settings of the macro attribute. The order of the
/// settings does not matter.
///
/// No method of this type panics. If a setting is invalid, the limit stores the error of the first invalid setting.
/// [`RateLimit::try_new`](crate::RateLimit::try_new) returns this error, and
/// [`RateLimit::new`](crate::RateLimit::new) panics with its message.
#[derive(Clone)]
#[must_use = "a limit does nothing until a `RateLimit` uses it"]
pub struct Limit {
    pub(super) source: QuotaSource,
    pub(super) policy_settings: PolicySettings,
    pub(super) key: RequestResolver<Caller>,
    /// The key in the notation of the macro attribute. `None` if a function reads the key.
    pub(super) key_notation: Option<String>,
    /// Whether the key is in the body of a request.
    pub(super) reads_body: bool,
    pub(super) cost: CostSource,
    pub(super) scope: LimitScope,
    /// The first setting that is invalid. `None` if all settings are valid.
    pub(super) invalid: Option<InvalidSetting>,
}

/// The source of a limit's quotas.
#[derive(Clone)]
pub(super) enum QuotaSource {
    /// The limit has the same quotas for all requests.
    Fixed(Quotas),
    /// A function chooses the limit's quotas for each request.
    Plan(RequestResolver<Plan>),
    /// The limit has the quotas of the guard's policy with this name.
    Policy(String),
}

impl Limit {
    /// Creates a limit with these quotas. By default, the limit counts requests by the client's address.
    /// [`key`](Self::key) sets another key.
    ///
    /// The quotas are a [`Quota`], [`Quotas`], or text such as `"100/minute"` or `"5/second; 100/minute"`. A
    /// request is allowed only if each quota has room for it. If the text is invalid,
    /// [`RateLimit::try_new`](crate::RateLimit::try_new) returns an error.
    pub fn new<Q>(quotas: Q) -> Self
    where
        Q: TryInto<Quotas, Error: Display>,
    {
        let placeholder = Self::of(QuotaSource::Fixed(PLACEHOLDER_QUOTA.into()));
        placeholder
            .set(None, quotas.try_into(), |limit, quotas| limit.source = QuotaSource::Fixed(quotas))
    }

    /// Creates a limit that calls a function to choose the quotas for each request.
    ///
    /// `plan` is a closure or function over `&HttpRequest` that returns a [`Plan`], or a value that converts into a
    /// `Plan`. The function can be async, for example to read a user's plan from a database. The function can also
    /// return an error, which then becomes the response.
    ///
    /// ```
    /// # use actix_web::HttpRequest;
    /// # use actix_rateguard::{Limit, Plan};
    /// # async fn plan_in_database(_: &str) -> Result<Plan, std::io::Error> { Ok(Plan::Unlimited) }
    /// let limit = Limit::plan(async |request: &HttpRequest| {
    ///     let key = request.headers().get("X-Api-Key").and_then(|key| key.to_str().ok());
    ///     plan_in_database(key.unwrap_or_default()).await
    /// });
    /// let limit = limit.key("header:X-Api-Key");
    /// ```
    pub fn plan<Kind>(plan: impl PerRequest<Plan, Kind>) -> Self {
        Self::of(QuotaSource::Plan(plan.into_resolver()))
    }

    /// Creates a limit that uses the guard's policy with this name. All limits that use this policy share one count for
    /// each key.
    ///
    /// The policy already sets the quotas, the name, the ban, the shadow mode and the failure mode. If the limit also
    /// sets one of these values, [`RateLimit::try_new`](crate::RateLimit::try_new) returns an error. `try_new` also
    /// returns an error if neither the guard's [builder](crate::RateGuardBuilder::policy) nor the policies file has a
    /// policy with this name.
    pub fn policy(name: impl Into<String>) -> Self {
        Self::of(QuotaSource::Policy(name.into()))
    }

    fn of(source: QuotaSource) -> Self {
        let key = LimitKey::from(key::ip());
        Self {
            source,
            policy_settings: PolicySettings::default(),
            key: key.resolver,
            key_notation: key.notation,
            reads_body: key.reads_body,
            cost: 1.into_cost(),
            scope: LimitScope::default(),
            invalid: None,
        }
    }

    /// Returns the name of the limit, or the default name if the program has set none.
    pub(super) fn name_or<'a>(&'a self, default_name: &'a str) -> &'a str {
        match (&self.source, &self.policy_settings.name) {
            (QuotaSource::Policy(policy), _) => policy,
            (_, Some(name)) => name,
            (_, None) => default_name,
        }
    }

    /// Applies `value` if it is valid. Otherwise, stores the error, unless the limit already has an error.
    /// `setting` is the name of the setting, or `None` for the quotas.
    pub(super) fn set<T>(
        mut self,
        setting: Option<&'static str>,
        value: Result<T, impl Display>,
        apply: impl FnOnce(&mut Self, T),
    ) -> Self {
        match value {
            Ok(value) => apply(&mut self, value),
            Err(error) => {
                let message = error.to_string();
                self.invalid.get_or_insert(InvalidSetting { setting, message });
            }
        }
        self
    }

    /// Does the same as [`set`](Self::set), for a setting that is part of a policy. If the limit uses a policy of
    /// the guard, the limit cannot change that policy, so the setting is an error.
    pub(super) fn set_in_policy<T>(
        self,
        setting: &'static str,
        value: Result<T, impl Display>,
        apply: impl FnOnce(&mut PolicySettings, T),
    ) -> Self {
        let value = match &self.source {
            QuotaSource::Policy(policy) => {
                Err(format!("the policy `{policy}` already sets this; remove `{setting}`"))
            }
            QuotaSource::Fixed(_) | QuotaSource::Plan(_) => {
                value.map_err(|error| error.to_string())
            }
        };
        self.set(Some(setting), value, |limit, value| apply(&mut limit.policy_settings, value))
    }
}

impl From<&str> for Limit {
    fn from(quotas: &str) -> Self {
        Self::new(quotas)
    }
}

impl From<String> for Limit {
    fn from(quotas: String) -> Self {
        Self::new(quotas)
    }
}

impl From<Quota> for Limit {
    fn from(quota: Quota) -> Self {
        Self::new(quota)
    }
}

impl From<Quotas> for Limit {
    fn from(quotas: Quotas) -> Self {
        Self::new(quotas)
    }
}

impl fmt::Debug for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Limit");
        match &self.source {
            QuotaSource::Fixed(quotas) => debug.field("quotas", quotas),
            QuotaSource::Plan(_) => debug.field("quotas", &"chosen for each request"),
            QuotaSource::Policy(name) => debug.field("policy", name),
        };
        debug
            .field("name", &self.policy_settings.name)
            .field("invalid", &self.invalid)
            .finish_non_exhaustive()
    }
}
