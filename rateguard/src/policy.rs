//! Named quotas, with what happens when the store does not answer.

use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration};

use rateguard_grammar::{NameError, check_name};

use crate::{
    Ban, BanError, OnError, Quota, Quotas, RateError,
    guard::{Escalation, Trial},
};

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
    name: PolicyName,
    quotas: Arc<Quotas>,
    on_error: Option<OnError>,
    escalation: Option<Arc<Escalation>>,
    /// What of it refuses nobody.
    trial: Option<Arc<Trial>>,
}

/// Stands for the quotas of a policy whose quotas are chosen for each request.
pub(crate) const CHOSEN_LATER: Quota = match Quota::new(1, Duration::from_secs(1)) {
    Ok(quota) => quota,
    Err(_) => unreachable!(),
};

/// The name of a policy, shared by all that speaks of it. Every decision carries one, so it is a single pointer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PolicyName(Arc<Name>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Name {
    text: Box<str>,
    /// Where the part begins that clients are told: a path in the program is nobody else's business.
    public_from: usize,
    /// Of the text, so that what is told of the policy is found with few looks.
    #[cfg(feature = "metrics")]
    hash: u64,
}

impl PolicyName {
    pub(crate) fn of(name: &str) -> Self {
        Self::public_from(name, 0)
    }

    fn public_from(name: &str, public_from: usize) -> Self {
        Self(Arc::new(Name {
            text: name.into(),
            public_from,
            #[cfg(feature = "metrics")]
            hash: crate::metrics::hash(name),
        }))
    }

    #[cfg(feature = "metrics")]
    pub(crate) fn hash(&self) -> u64 {
        self.0.hash
    }

    /// Whether both have this text: most often they are one.
    #[cfg(feature = "metrics")]
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.text == other.0.text
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0.text
    }

    /// What clients are told.
    pub(crate) fn public(&self) -> &str {
        self.0.text.get(self.0.public_from..).unwrap_or_default()
    }
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
        let name = name.into();
        check_name(&name).map_err(PolicyError::Name)?;
        Ok(Self::checked(PolicyName::of(&name), quotas))
    }

    /// The same policy under another name.
    pub(crate) fn named(mut self, name: &str) -> Result<Self, PolicyError> {
        check_name(name).map_err(PolicyError::Name)?;
        self.name = PolicyName::of(name);
        let (ban, trial) = (self.own_ban(), self.trial_named(name));
        Ok(self.escalating(ban).with_trial(trial))
    }

    fn checked(name: PolicyName, quotas: Quotas) -> Self {
        Self { name, quotas: Arc::new(quotas), on_error: None, escalation: None, trial: None }
    }

    /// The same policy with another ban, or none.
    pub(crate) fn escalating(mut self, ban: Option<Ban>) -> Self {
        self.escalation = ban.map(|ban| Arc::new(Escalation::new(ban, self.name())));
        self
    }

    /// The same policy, of which this is tried.
    pub(crate) fn with_trial(mut self, trial: Option<Trial>) -> Self {
        self.trial = trial.map(Arc::new);
        self
    }

    /// The same policy with other quotas.
    pub(crate) fn with_quotas(&self, quotas: Arc<Quotas>) -> Self {
        Self { quotas, ..self.clone() }
    }

    /// For the attribute, which has checked its arguments when it was compiled.
    #[cfg(feature = "macros")]
    pub(crate) fn of_attribute(name: &str, quotas: Quotas, on_error: Option<OnError>) -> Self {
        Self { on_error, ..Self::checked(PolicyName::of(name), quotas) }
    }

    /// Of a name that is a path in the program, clients are told the last word.
    #[cfg(feature = "macros")]
    pub(crate) fn named_by_path(mut self) -> Self {
        let public_from = self.name().rfind("::").map_or(0, |place| place + 2);
        self.name = PolicyName::public_from(self.name(), public_from);
        self
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
        self.name.as_str()
    }

    /// How much is admitted.
    #[must_use]
    pub fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    pub(crate) fn shared_name(&self) -> &PolicyName {
        &self.name
    }

    pub(crate) fn escalation(&self) -> Option<&Escalation> {
        self.escalation.as_deref()
    }

    pub(crate) fn own_ban(&self) -> Option<Ban> {
        self.escalation().map(Escalation::ban)
    }

    pub(crate) fn trial(&self) -> Option<&Trial> {
        self.trial.as_deref()
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
    /// The ban is not legal.
    Ban(BanError),
    /// A policy in [shadow](Policy::shadow) was given a [candidate](Policy::candidate): nothing of it is enforced beside which
    /// it could be tried.
    Shadow,
    /// A [roll-out](Policy::rollout) is above 100 percent, or there is no candidate.
    Rollout,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => error.fmt(f),
            Self::Quota(error) => error.fmt(f),
            Self::Ban(error) => error.fmt(f),
            Self::Shadow => f.write_str(
                "a policy that is in shadow itself has no candidate; leave `shadow` or the candidate out",
            ),
            Self::Rollout => f.write_str(
                "a roll-out is a whole number of percent from 0 to 100, of a policy with a candidate",
            ),
        }
    }
}

impl Error for PolicyError {}
