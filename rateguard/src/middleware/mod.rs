//! The middleware: its limits, their settings, and the actix-web service.

mod limit;
mod service;
mod settings;

pub(crate) use limit::MiddlewareLimit;
pub use limit::RateLimit;
pub(crate) use service::is_preflight;
