//! Named quotas, with what happens when the store does not answer.

use std::{borrow::Cow, error::Error, fmt, sync::Arc};

use rateguard_grammar::{NameError, check_name};

use crate::{OnError, Quotas, RateError};

/// Named quotas: what a [`RateGuard`](crate::RateGuard) checks a key against. All of them have to have room.
///
/// The name tells the counts of one limit from those of another: policies of one name and one guard share theirs, so
/// give them the same quotas.
///
/// ```
/// # use rateguard::{OnError, Policy};
/// let emails = Policy::new("emails", "2/minute; 20/hour")?.on_error(OnError::Closed);
/// # Ok::<(), rateguard::PolicyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    name: Arc<str>,
    quotas: Arc<Quotas>,
    on_error: Option<OnError>,
}

impl Policy {
    /// A policy with this name and these quotas: a [`Quota`](crate::Quota), [`Quotas`], or text such as `"5/minute"`.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] if a quota is not legal, or the name is empty, longer than 200 bytes or has anything but
    /// letters, digits and ASCII punctuation without braces in it.
    pub fn new<Q>(name: impl Into<Cow<'static, str>>, quotas: Q) -> Result<Self, PolicyError>
    where
        Q: TryInto<Quotas, Error: Into<RateError>>,
    {
        let quotas = quotas.try_into().map_err(|error| PolicyError::Quota(error.into()))?;
        Self { name: Arc::default(), quotas: Arc::new(quotas), on_error: None }.named(&name.into())
    }

    /// The same policy under another name.
    pub(crate) fn named(mut self, name: &str) -> Result<Self, PolicyError> {
        check_name(name).map_err(PolicyError::Name)?;
        self.name = name.into();
        Ok(self)
    }

    /// For the attribute, which has checked its arguments when it was compiled.
    #[cfg(feature = "macros")]
    pub(crate) fn of_attribute(name: &str, quotas: Quotas, on_error: Option<OnError>) -> Self {
        Self { name: name.into(), quotas: Arc::new(quotas), on_error }
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
    pub fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    pub(crate) fn shared_name(&self) -> &Arc<str> {
        &self.name
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
    /// A quota is not legal.
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
