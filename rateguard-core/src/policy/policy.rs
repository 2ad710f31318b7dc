//! Defines a policy: named quotas with a ban, a shadow mode and a failure mode.

use std::{borrow::Cow, sync::Arc, time::Duration};

use actix_rateguard_grammar::check_name;

use super::{Escalation, PolicyError, PolicyName, ShadowMode};
use crate::{Ban, BanSpecError, OnError, Quota, Quotas, RateError};

/// The named quotas that a [`RateGuard`](crate::RateGuard) enforces for a key. The guard admits a request if all
/// quotas have room.
///
/// Policies with different names have separate counts. Policies with the same name share their counts in a store,
/// so they should have the same quotas.
///
/// ```
/// # use actix_rateguard_core::{OnError, Policy};
/// let emails = Policy::new("emails", "2/minute; 20/hour")?.on_error(OnError::Closed);
/// # Ok::<(), actix_rateguard_core::error::PolicyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    name: PolicyName,
    quotas: Arc<Quotas>,
    on_error: Option<OnError>,
    escalation: Option<Arc<Escalation>>,
    shadow_mode: Option<Arc<ShadowMode>>,
}

/// The placeholder quota of a policy whose quotas the program chooses for each request. The guard never enforces
/// this placeholder.
pub const PLACEHOLDER_QUOTA: Quota = match Quota::new(1, Duration::from_secs(1)) {
    Ok(quota) => quota,
    Err(_) => unreachable!(),
};

impl Policy {
    /// Creates a policy with this name and these quotas. The quotas are a [`Quota`](crate::Quota), [`Quotas`], or
    /// text such as `"5/minute"`.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] if a quota or the name is invalid. A valid name has 1 to 200 bytes and contains only letters,
    /// digits and ASCII punctuation without braces.
    pub fn new<Q>(name: impl Into<Cow<'static, str>>, quotas: Q) -> Result<Self, PolicyError>
    where
        Q: TryInto<Quotas, Error: Into<RateError>>,
    {
        let quotas = quotas.try_into().map_err(|error| PolicyError::Quota(error.into()))?;
        let name = name.into();
        check_name(&name).map_err(PolicyError::Name)?;
        Ok(Self::checked(PolicyName::of(&name), quotas))
    }

    /// Returns the same policy with this name.
    #[doc(hidden)]
    pub fn named(mut self, name: &str) -> Result<Self, PolicyError> {
        check_name(name).map_err(PolicyError::Name)?;
        self.name = PolicyName::of(name);
        let (ban, shadow_mode) = (self.own_ban(), self.shadow_mode_for_name(name));
        Ok(self.with_ban(ban).with_shadow_mode(shadow_mode))
    }

    fn checked(name: PolicyName, quotas: Quotas) -> Self {
        Self { name, quotas: Arc::new(quotas), on_error: None, escalation: None, shadow_mode: None }
    }

    /// Returns the same policy with this ban. `None` removes the ban.
    #[doc(hidden)]
    pub fn with_ban(mut self, ban: Option<Ban>) -> Self {
        self.escalation = ban.map(|ban| Arc::new(Escalation::new(ban, self.name())));
        self
    }

    /// Returns the same policy with this shadow mode. `None` disables the shadow mode.
    pub(crate) fn with_shadow_mode(mut self, shadow_mode: Option<ShadowMode>) -> Self {
        self.shadow_mode = shadow_mode.map(Arc::new);
        self
    }

    /// Returns the same policy with these quotas.
    #[doc(hidden)]
    pub fn with_quotas(&self, quotas: Arc<Quotas>) -> Self {
        Self { quotas, ..self.clone() }
    }

    /// Creates the policy for a macro attribute. The macro has validated the name and the quotas at compile time.
    #[doc(hidden)]
    pub fn of_attribute(name: &str, quotas: Quotas, on_error: Option<OnError>) -> Self {
        Self { on_error, ..Self::checked(PolicyName::of(name), quotas) }
    }

    /// Marks the name as a Rust path. Responses to clients then contain only the last segment of the path.
    #[doc(hidden)]
    pub fn named_by_path(mut self) -> Self {
        let public_from = self.name().rfind("::").map_or(0, |index| index + 2);
        self.name = PolicyName::public_from(self.name(), public_from);
        self
    }

    /// Sets the failure mode, which determines the result of a check when the store does not answer. Default: the
    /// failure mode of the guard ([`RateGuardBuilder::on_error`](crate::RateGuardBuilder::on_error)).
    #[must_use]
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.on_error = Some(on_error);
        self
    }

    /// Returns the name that the store and log messages use for this policy.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Returns the quotas of the policy.
    #[must_use]
    pub fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// Returns whether the policy or its candidate has a quota for requests in progress. If so, each request holds a
    /// permit.
    #[doc(hidden)]
    #[must_use]
    pub fn has_permits(&self) -> bool {
        let candidate = self.candidate_quotas().map(|(quotas, _)| quotas);
        [Some(self.quotas()), candidate].into_iter().flatten().any(|it| it.concurrency().is_some())
    }

    /// Returns the name as a value that can be cloned without a copy of its text.
    #[doc(hidden)]
    #[must_use]
    pub fn shared_name(&self) -> &PolicyName {
        &self.name
    }

    pub(crate) fn escalation(&self) -> Option<&Escalation> {
        self.escalation.as_deref()
    }

    /// Returns the ban that this policy has.
    #[doc(hidden)]
    pub fn own_ban(&self) -> Option<Ban> {
        self.escalation().map(Escalation::ban)
    }

    pub(crate) fn shadow_mode(&self) -> Option<&ShadowMode> {
        self.shadow_mode.as_deref()
    }

    /// Returns the failure mode that this policy sets. `None` if the failure mode of the guard applies.
    #[doc(hidden)]
    pub fn own_on_error(&self) -> Option<OnError> {
        self.on_error
    }

    /// Sets a ban for keys that the policy denies too often. The ban is a [`Ban`], or text such as `"10/hour for
    /// 15m up to 1d"`. Each ban of a key can be longer than the previous ban of the key.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Ban`] if the text is invalid.
    pub fn ban<B>(self, ban: B) -> Result<Self, PolicyError>
    where
        B: TryInto<Ban, Error: Into<BanSpecError>>,
    {
        let ban = ban.try_into().map_err(|error| PolicyError::Ban(error.into()))?;
        Ok(self.with_ban(Some(ban)))
    }
}
