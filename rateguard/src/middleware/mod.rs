//! The middleware: the limits that it checks, the settings of these limits, and the actix-web service.

mod count;
mod limit;
mod limit_error;
mod methods;
mod middleware_limit;
mod policy_settings;
mod rate_limit;
mod request_checks;
mod response_future;
mod service;
mod settings;
mod shared_limits;

pub use limit::Limit;
pub use limit_error::LimitError;
pub(crate) use middleware_limit::MiddlewareLimit;
pub use rate_limit::RateLimit;
