//! Explains what limits would do with a request, and why, without counting the request.

mod api;
mod display;
mod evaluate;
mod explanation;
mod outcome;
mod unknown;

#[cfg(feature = "operator")]
pub(crate) use api::RequestOrigin;
pub use explanation::{ExplainedLimit, Explanation, KeySource};
pub use outcome::{Exemption, Outcome, RejectReason, UnknownReason};
