//! Defines a plan, which is the set of quotas for one client, such as the quotas of a free or a paid account.

use std::{borrow::Cow, sync::Arc};

use crate::{Quota, Quotas};

/// The quotas of one client. For example, a free account can have a plan with fewer units than a paid account.
///
/// With an HTTP adapter, a function can choose the plan for each request. The function returns a plan or a value that
/// converts into a plan: a [`Quota`], [`Quotas`] or an `Arc<Quotas>` becomes [`Limited`](Self::Limited), and `None`
/// becomes [`Unlimited`](Self::Unlimited).
///
/// If the plan of a client changes, the units that the client has already used still count, so the client does not get
/// all units again. The same is true for every other change of a quota.
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
#[non_exhaustive]
pub enum Plan {
    /// A request is admitted only if all of these quotas have room.
    Limited(Arc<Quotas>),
    /// The client is not limited.
    Unlimited,
    /// The plan with this name. The guard gets its named plans from
    /// [`RateGuardBuilder::plan`](crate::RateGuardBuilder::plan) or from the policies file.
    ///
    /// If the guard has no plan with this name, an HTTP adapter responds with status 500 and logs the reason.
    Named(Cow<'static, str>),
    /// The plan that a text describes, for example a text in a database. See [`text`](Self::text).
    Text(Cow<'static, str>),
}

impl Plan {
    /// Creates a plan from a [`Quota`], [`Quotas`] or text such as `"10/minute; 100/day"`.
    ///
    /// # Panics
    ///
    /// Panics if the text is invalid. So use this function only for constant text. For other text, use
    /// [`try_of`](Self::try_of), which returns an error instead.
    #[must_use]
    #[track_caller]
    #[allow(clippy::panic, reason = "invalid text is a bug in the application")]
    pub fn of<Q>(quotas: Q) -> Self
    where
        Q: TryInto<Quotas, Error: Into<crate::RateError>>,
    {
        match Self::try_of(quotas) {
            Ok(plan) => plan,
            Err(error) => panic!("{error}"),
        }
    }

    /// Creates a plan from a [`Quota`], [`Quotas`] or text, and returns an error in the cases in which [`of`](Self::of)
    /// panics.
    ///
    /// ```
    /// # use actix_rateguard_core::Plan;
    /// assert_eq!(Plan::try_of("10/minute; 100/day")?, Plan::of("10/minute; 100/day"));
    /// assert!(Plan::try_of("10/fortnight").is_err());
    /// # Ok::<(), actix_rateguard_core::error::RateError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RateError`](crate::RateError) if the text is invalid.
    pub fn try_of<Q>(quotas: Q) -> Result<Self, crate::RateError>
    where
        Q: TryInto<Quotas, Error: Into<crate::RateError>>,
    {
        quotas.try_into().map(|quotas| Self::Limited(Arc::new(quotas))).map_err(Into::into)
    }

    /// Creates a [`Plan::Named`], which refers to the plan that the guard has under this name.
    #[must_use]
    pub fn named(name: impl Into<Cow<'static, str>>) -> Self {
        Self::Named(name.into())
    }

    /// Creates a [`Plan::Text`]. The text is one of these:
    ///
    /// - the name of a plan of the guard, such as `"free"`;
    /// - `"unlimited"`;
    /// - quotas, such as `"10/minute; 100/day"`.
    ///
    /// An HTTP adapter parses the text when it checks a request, and caches the result for later requests. If the text is
    /// none of these, the adapter uses the fallback quotas of the limit. If the limit has no fallback quotas, the adapter
    /// responds with status 500 and logs the reason.
    #[must_use]
    pub fn text(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Text(text.into())
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

/// Parses quotas such as `"10/minute; 100/day"`, or `"unlimited"`.
impl TryFrom<&str> for Plan {
    type Error = crate::RateError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        match text {
            "unlimited" => Ok(Self::Unlimited),
            _ => Self::try_of(text),
        }
    }
}

/// Parses quotas such as `"10/minute; 100/day"`, or `"unlimited"`.
impl TryFrom<String> for Plan {
    type Error = crate::RateError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::try_from(text.as_str())
    }
}

impl<P: Into<Self>> From<Option<P>> for Plan {
    fn from(plan: Option<P>) -> Self {
        plan.map_or(Self::Unlimited, Into::into)
    }
}
