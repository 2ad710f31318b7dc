//! Overrides replace the quotas of a policy for one key, on all application servers, for a limited time.

mod apply;
mod change;
mod document;
mod error;
mod quota_override;
mod refresh;
mod table;

pub(super) use self::table::OverrideTable;
pub use self::{error::OverrideError, quota_override::QuotaOverride};
