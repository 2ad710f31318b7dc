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
#[cfg(feature = "macros")]
pub use self::trial::Tried;
#[cfg(all(feature = "config", not(feature = "macros")))]
pub(crate) use self::trial::Tried;
pub(crate) use self::trial::{Side, Trial};
pub(super) use self::{asking::ShadowAsking, beside::Asking};
