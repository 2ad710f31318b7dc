//! Defines policies: named quotas with a ban, a shadow mode and a failure mode.

mod error;
mod escalation;
mod name;
#[allow(clippy::module_inception, reason = "the folder is the table of contents")]
mod policy;
mod rollout;
mod shadow;
mod shadow_mode;

pub use self::{
    error::PolicyError,
    name::PolicyName,
    policy::{PLACEHOLDER_QUOTA, Policy},
};
pub(crate) use self::{
    escalation::{Escalation, MAX_PAST_BANS},
    shadow_mode::{QuotaVariant, ShadowMode},
};
