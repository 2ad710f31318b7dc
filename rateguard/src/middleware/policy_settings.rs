//! The settings of a limit that are part of its policy.

use std::borrow::Cow;

use super::limit_error::InvalidSetting;
use crate::{Ban, OnError, Policy, Quotas, error::PolicyError};

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
}
