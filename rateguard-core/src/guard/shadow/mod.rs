//! In shadow mode, the guard counts and reports the decisions of policies and of candidate quotas (new quotas that
//! are tested), but denies no request because of these decisions.

mod record;
mod report;
mod request;
mod runner;
mod shadow_check;

pub use self::{report::ShadowCounts, shadow_check::ShadowHolds};
pub(super) use self::{runner::ShadowRunner, shadow_check::ShadowChecks};
