//! A named quota, with what happens when the store does not answer.

use std::{borrow::Cow, error::Error, fmt};

use rateguard_grammar::{NameError, check_name};

use crate::{OnError, Quota, RateError};

/// A named quota: what a [`RateGuard`](crate::RateGuard) checks a key against.
///
/// The name tells the counts of one limit from those of another: policies of one name and one guard share theirs, so
/// give them the same quota.
///
/// ```
/// # use rateguard::{OnError, Policy};
/// let emails = Policy::new("emails", "20/hour")?.on_error(OnError::Closed);
/// # Ok::<(), rateguard::PolicyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    name: Cow<'static, str>,
    quota: Quota,
    on_error: Option<OnError>,
}

impl Policy {
    /// A policy with this name and quota, which may be text such as `"5/minute"`.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] if the quota is not legal, or the name is empty, longer than 200 bytes or has anything but
    /// letters, digits and ASCII punctuation without braces in it.
    pub fn new<Q>(name: impl Into<Cow<'static, str>>, quota: Q) -> Result<Self, PolicyError>
    where
        Q: TryInto<Quota, Error: Into<RateError>>,
    {
        let quota = quota.try_into().map_err(|error| PolicyError::Quota(error.into()))?;
        Self { name: Cow::Borrowed(""), quota, on_error: None }.named(name.into())
    }

    /// The same policy under another name.
    pub(crate) fn named(mut self, name: Cow<'static, str>) -> Result<Self, PolicyError> {
        check_name(&name).map_err(PolicyError::Name)?;
        self.name = name;
        Ok(self)
    }

    /// For the attribute, which has checked its arguments when it was compiled.
    #[cfg(feature = "macros")]
    pub(crate) fn of_attribute(
        name: Cow<'static, str>,
        quota: Quota,
        on_error: Option<OnError>,
    ) -> Self {
        Self { name, quota, on_error }
    }

    /// What happens when the store does not answer. By default what the guard says.
    #[must_use]
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.on_error = Some(on_error);
        self
    }

    /// The name, as it stands in keys and logs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How much is admitted.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.quota
    }

    pub(crate) fn own_on_error(&self) -> Option<OnError> {
        self.on_error
    }
}

/// Why a policy cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyError {
    /// The name is not legal.
    Name(NameError),
    /// The quota is not legal.
    Quota(RateError),
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => error.fmt(f),
            Self::Quota(error) => error.fmt(f),
        }
    }
}

impl Error for PolicyError {}
