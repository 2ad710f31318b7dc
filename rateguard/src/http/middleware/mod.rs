//! The middleware.

mod limit;
mod service;

pub use limit::RateLimit;
