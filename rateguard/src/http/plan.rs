//! How much is admitted, where it depends on the request.

use std::{borrow::Cow, sync::Arc};

use actix_web::Error;

use super::per_request::IntoChoice;
use crate::{Quota, Quotas};

/// How much one caller is admitted: of a free account less than of one that pays.
///
/// A function may return it, or something that is taken for it: a [`Quota`], [`Quotas`] or an [`Arc`] of them are
/// [`Limited`](Self::Limited), a `None` is [`Unlimited`](Self::Unlimited), and an `Err` answers the request.
///
/// What was counted counts on when a caller's plan changes, as for every change of a quota.
///
/// ```
/// use std::sync::LazyLock;
/// use actix_web::HttpRequest;
/// use rateguard::{Plan, Quotas, RateGuard, RateLimit};
///
/// static FREE: LazyLock<Plan> = LazyLock::new(|| Plan::of("10/minute; 100/day"));
/// static PRO: LazyLock<Plan> = LazyLock::new(|| Plan::of("1000/minute"));
///
/// # let guard = RateGuard::in_memory();
/// let limit = RateLimit::per_request(&guard, |request: &HttpRequest| {
///     match request.headers().get("X-Plan").map(|plan| plan.as_bytes()) {
///         Some(b"enterprise") => Plan::Unlimited,
///         Some(b"pro") => PRO.clone(),
///         _ => FREE.clone(),
///     }
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// All of these quotas have to have room.
    Limited(Arc<Quotas>),
    /// This limit does not apply.
    Unlimited,
    /// What the guard's plan of this name says: one that it was [given](crate::RateGuardBuilder::plan), or that its file has.
    /// If there is none of this name, the request is answered with 500, and the log says why.
    ///
    /// ```
    /// # use actix_web::HttpRequest;
    /// # use rateguard::{Plan, RateGuard, RateLimit, key};
    /// # fn account_of(_: &HttpRequest) -> String { "free".to_owned() }
    /// # let guard = RateGuard::builder().plan("free", Plan::of("10/minute")).build()?;
    /// let limit = RateLimit::per_request(&guard, |request: &HttpRequest| Plan::named(account_of(request)));
    /// # Ok::<(), rateguard::BuildError>(())
    /// ```
    Named(Cow<'static, str>),
}

impl Plan {
    /// The plan of these quotas, a [`Quota`], [`Quotas`] or text such as `"10/minute; 100/day"`.
    ///
    /// # Panics
    ///
    /// If the text is not legal. Make plans where the application starts, as in a `static` or before the server; text that
    /// is known only later is parsed with `"…".parse::<Quotas>()`.
    #[must_use]
    #[track_caller]
    pub fn of<Q>(quotas: Q) -> Self
    where
        Q: TryInto<Quotas, Error: Into<crate::RateError>>,
    {
        Self::Limited(Arc::new(super::legal(quotas.try_into().map_err(Into::into))))
    }

    /// The guard's plan of this name.
    #[must_use]
    pub fn named(name: impl Into<Cow<'static, str>>) -> Self {
        Self::Named(name.into())
    }
}

impl From<Quota> for Plan {
    fn from(quota: Quota) -> Self {
        Self::from(Quotas::from(quota))
    }
}

impl From<Quotas> for Plan {
    fn from(quotas: Quotas) -> Self {
        Self::Limited(Arc::new(quotas))
    }
}

impl From<Arc<Quotas>> for Plan {
    fn from(quotas: Arc<Quotas>) -> Self {
        Self::Limited(quotas)
    }
}

impl<P: Into<Self>> From<Option<P>> for Plan {
    fn from(plan: Option<P>) -> Self {
        plan.map_or(Self::Unlimited, Into::into)
    }
}

impl<V: Into<Plan>> IntoChoice<Plan> for V {
    fn into_choice(self) -> Result<Plan, Error> {
        Ok(self.into())
    }
}

impl<V: Into<Plan>, E: Into<Error>> IntoChoice<Plan> for Result<V, E> {
    fn into_choice(self) -> Result<Plan, Error> {
        Ok(self.map_err(Into::into)?.into())
    }
}
