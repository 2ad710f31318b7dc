//! Shadow mode: policies and candidate quotas that decide, count and are reported, but deny no request.

mod record;
mod report;
mod request;
mod runner;
mod shadow_check;
mod store_call;

pub use self::{report::ShadowCounts, shadow_check::ShadowHolds};
pub(super) use self::{runner::ShadowRunner, shadow_check::ShadowChecks};
