//! Policies that are tried: they decide, count and are reported, and refuse nobody.

mod asking;
mod beside;
mod report;
mod rollout;
mod told;
mod trial;
mod trying;

pub(crate) use self::beside::Shadows;
pub use self::report::ShadowCounts;
#[cfg(any(feature = "config", feature = "macros"))]
pub use self::trial::Tried;
pub(crate) use self::trial::{Side, Trial};
pub(super) use self::{asking::ShadowAsking, beside::Asking};
