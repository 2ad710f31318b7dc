//! Computes when the periods of calendar quotas start and end.

mod bounds;
mod cache;
#[cfg(feature = "calendar")]
mod starts;
#[cfg(not(feature = "calendar"))]
#[path = "starts_noop.rs"]
mod starts;
mod usual_periods;

pub use self::bounds::{calendar_bounds, current_window};
pub(crate) use self::cache::starts_around;
