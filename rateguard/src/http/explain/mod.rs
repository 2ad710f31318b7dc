//! What limits would do with a request, and why, without doing it.

mod ask;
mod explanation;
mod look;
mod outcome;
mod shown;
mod unknown;

#[cfg(feature = "operator")]
pub(crate) use ask::Of;
pub use explanation::{CountedBy, ExplainedLimit, Explanation};
pub use outcome::{Exemption, Outcome, RefusedBy, WhyUnknown};
