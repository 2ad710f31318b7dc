//! Quotas that depend on the client.

use std::{borrow::Cow, sync::Arc};

use crate::{Quota, Quotas};

/// The quotas of one client, such as fewer units for a free account than for a paid one.
///
/// An HTTP adapter can choose the plan of a limit for each request. A function that chooses it may return a plan or a
/// value that converts into one: a [`Quota`], [`Quotas`] or an [`Arc`] of them are [`Limited`](Self::Limited), and
/// `None` is [`Unlimited`](Self::Unlimited).
///
/// When the plan of a client changes, the new quotas apply to the units that were counted before, as for every change
/// of a quota.
///
/// ```
/// use actix_rateguard_core::{Plan, Quota, RateGuard};
///
/// let free = Plan::of("10/minute; 100/day");
/// let paid = Plan::from("1000/minute".parse::<Quota>()?);
/// let guard = RateGuard::builder()
///     .plan("free", free)
///     .plan("paid", paid)
///     .plan("internal", Plan::Unlimited)
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// All of these quotas must have room.
    Limited(Arc<Quotas>),
    /// The limit does not apply.
    Unlimited,
    /// The guard's plan with this name, from [`RateGuardBuilder::plan`](crate::RateGuardBuilder::plan) or from its
    /// policies file.
    ///
    /// If the guard has no plan with this name, an HTTP adapter responds with status 500 and logs the reason.
    Named(Cow<'static, str>),
}

impl Plan {
    /// A plan with these quotas: a [`Quota`], [`Quotas`] or text such as `"10/minute; 100/day"`.
    ///
    /// # Panics
    ///
    /// If the text is invalid. Create such plans when the application starts, for example in a `static`. Parse text
    /// from other sources with `text.parse::<Quotas>()`, which returns an error instead.
    #[must_use]
    #[track_caller]
    #[allow(clippy::panic, reason = "invalid text is a bug in the application")]
    pub fn of<Q>(quotas: Q) -> Self
    where
        Q: TryInto<Quotas, Error: Into<crate::RateError>>,
    {
        match quotas.try_into().map_err(Into::into) {
            Ok(quotas) => Self::Limited(Arc::new(quotas)),
            Err(error) => panic!("{error}"),
        }
    }

    /// The guard's plan with this name: [`Plan::Named`].
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
