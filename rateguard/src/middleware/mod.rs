//! The middleware: its limits, their settings, and the actix-web service.

mod limit;
mod rate_limit;
mod service;
mod settings;

pub(crate) use limit::MiddlewareLimit;
pub use rate_limit::RateLimit;
pub(crate) use service::check_middleware;
