//! The settings of a limit that are part of its policy.

use std::{borrow::Cow, time::Duration};

use actix_rateguard_grammar::{
    FieldError, LeaseSize, Located, QuotaLease, ShadowFields, check_concurrency, check_lease,
};

use super::limit_error::InvalidSetting;
use crate::{
    Ban, OnError, Policy, Quota, Quotas,
    error::{PolicyError, RateError},
};

/// The settings of a limit that are part of its policy. If the limit uses a policy of the guard, none of these
/// settings is set.
#[derive(Clone, Default)]
pub(super) struct PolicySettings {
    pub(super) name: Option<Cow<'static, str>>,
    pub(super) ban: Option<Ban>,
    pub(super) is_in_shadow: bool,
    pub(super) candidate: Option<Quotas>,
    pub(super) rollout: Option<u8>,
    pub(super) on_error: Option<OnError>,
    pub(super) lease: Option<LeaseSize>,
    pub(super) lease_for: Option<Duration>,
    pub(super) concurrent: Option<u32>,
    pub(super) permit_lease: Option<Duration>,
}

impl PolicySettings {
    /// Builds a policy with these quotas. Settings that exclude each other are detected here and not when they are
    /// set, so their order in the program does not matter.
    pub(super) fn into_policy(
        self,
        default_name: &str,
        quotas: Quotas,
    ) -> Result<Policy, InvalidSetting> {
        let invalid = |setting| {
            move |error: PolicyError| InvalidSetting {
                setting: Some(setting),
                message: error.to_string(),
            }
        };
        let quotas = self.with_lease(self.with_concurrency(quotas)?)?;
        let shadow = self.shadow_fields();
        let of_rates = self.ban.map(|_| ("ban", "ban"));
        check_concurrency(Some(&quotas), of_rates, &shadow).map_err(invalid_field)?;
        check_lease(Some(&quotas), self.ban.map(|_| "ban"), &shadow).map_err(invalid_field)?;
        let name = self.name.unwrap_or_else(|| default_name.to_owned().into());
        let mut policy = Policy::new(name, quotas).map_err(invalid("name"))?.with_ban(self.ban);
        if self.is_in_shadow {
            policy = policy.shadow();
        }
        if let Some(candidate) = self.candidate {
            policy = policy.candidate(candidate).map_err(invalid("candidate"))?;
        }
        if let Some(percent) = self.rollout {
            policy = policy.rollout(percent).map_err(invalid("rollout"))?;
        }
        Ok(match self.on_error {
            Some(on_error) => policy.on_error(on_error),
            None => policy,
        })
    }

    /// Returns the settings of the shadow mode. The location of each is its name.
    fn shadow_fields(&self) -> ShadowFields<&'static str> {
        ShadowFields {
            shadow: self.is_in_shadow.then_some(Located { value: true, location: "shadow" }),
            candidate: self.candidate.clone().map(|value| Located { value, location: "candidate" }),
            rollout: self.rollout.map(|value| Located { value, location: "rollout" }),
        }
    }

    /// Returns the quotas with the lease, if the limit sets one.
    fn with_lease(&self, quotas: Quotas) -> Result<Quotas, InvalidSetting> {
        let invalid = |setting, message: String| InvalidSetting { setting: Some(setting), message };
        let Some(lease) = self.lease else {
            return match self.lease_for {
                None => Ok(quotas),
                Some(_) => Err(invalid(
                    "lease_for",
                    "`lease_for` requires `lease`, such as `lease(50)`".to_owned(),
                )),
            };
        };
        let [quota] = quotas.as_slice() else {
            return Err(invalid("lease", RateError::LeaseOfSeveral.to_string()));
        };
        let duration =
            self.lease_for.unwrap_or_else(|| QuotaLease::default_duration(quota.window()));
        let leased = quota.with_lease(lease.units(quota.capacity()), duration);
        leased.map(Quotas::from).map_err(|error| invalid("lease", error.to_string()))
    }

    /// Returns the quotas and the quota for requests in progress, if the limit sets one.
    fn with_concurrency(&self, quotas: Quotas) -> Result<Quotas, InvalidSetting> {
        let invalid = |setting, message: String| InvalidSetting { setting: Some(setting), message };
        let Some(concurrent) = self.concurrent else {
            return match self.permit_lease {
                None => Ok(quotas),
                Some(_) => Err(invalid(
                    "permit_lease",
                    "`permit_lease` requires `concurrent`, such as `concurrent(5)`".to_owned(),
                )),
            };
        };
        let lease = self.permit_lease.unwrap_or(Quota::DEFAULT_LEASE);
        let quota = Quota::concurrent(concurrent, lease)
            .map_err(|error| invalid("concurrent", error.to_string()))?;
        Quotas::new(quotas.iter().copied().chain([quota]))
            .map_err(|error| invalid("concurrent", error.to_string()))
    }
}

fn invalid_field(error: FieldError<&'static str>) -> InvalidSetting {
    InvalidSetting { setting: error.location, message: error.message }
}
