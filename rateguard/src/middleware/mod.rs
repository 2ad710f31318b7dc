//! The middleware: the limits that it checks, the settings of these limits, and the actix-web service.

mod limit;
mod limit_error;
mod methods;
mod middleware_limit;
mod policy_settings;
mod rate_limit;
mod service;
mod settings;

pub use limit::Limit;
pub use limit_error::LimitError;
pub(crate) use middleware_limit::MiddlewareLimit;
pub use rate_limit::RateLimit;
pub(crate) use service::check_middleware;
