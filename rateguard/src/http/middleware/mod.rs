//! The middleware.

mod limit;
mod service;
mod settings;

pub use limit::RateLimit;
