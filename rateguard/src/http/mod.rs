//! HTTP with actix-web: the middleware, the attribute, and what they answer.

#[cfg(feature = "macros")]
pub(crate) mod attribute;
pub(crate) mod client;
mod cost;
mod enforce;
mod extract;
mod failure;
#[cfg(feature = "macros")]
mod handler_name;
mod headers;
pub mod key;
mod middleware;
mod refusal;
pub(crate) mod user;

pub use cost::RequestCost;
pub use extract::NoDecision;
pub use middleware::RateLimit;
pub use user::UserId;
