//! Explains what limits would do with a request, and why. An explanation does not count the request.

mod api;
mod display;
mod evaluate;
mod explanation;
mod outcome;

pub use self::{
    explanation::{ExplainedLimit, Explanation},
    outcome::{Outcome, UnknownReason},
};
pub use crate::{
    limit_check::KeySource,
    not_checked::{Exemption, RejectReason},
};
