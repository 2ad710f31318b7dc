//! The middleware.

mod limit;
mod service;
mod settings;

pub(super) use limit::Limit;
pub use limit::RateLimit;
pub(super) use service::is_preflight;
