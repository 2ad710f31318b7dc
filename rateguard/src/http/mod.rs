//! HTTP with actix-web: the middleware, the attribute, and what they answer.

#[cfg(feature = "macros")]
pub(crate) mod attribute;
mod bounds;
mod client;
mod cost;
mod enforce;
pub(crate) mod explain;
mod extract;
mod failure;
#[cfg(feature = "macros")]
mod handler_name;
mod headers;
mod in_force;
pub(crate) mod inventory;
mod kept;
pub mod key;
mod middleware;
mod penalty;
pub(crate) mod per_request;
mod plan;
mod refusal;
mod settings;
#[cfg(feature = "test-util")]
pub(crate) mod survey;
mod terms;
mod user;

use std::fmt;

#[cfg(feature = "operator")]
pub(crate) use client::counted_as;
pub use cost::{BodyCost, RequestCost};
pub use explain::{
    CountedBy, Exemption, ExplainedLimit, Explanation, Outcome, RefusedBy, WhyUnknown,
};
pub use extract::NoDecision;
pub use inventory::{Inventory, KnownLimit, LimitKind};
pub use key::Caller;
pub use middleware::RateLimit;
pub use penalty::Penalty;
pub use per_request::{IntoChoice, PerRequest};
pub use plan::Plan;
pub(crate) use settings::HttpSettings;
pub use settings::RefusalBody;
pub use user::UserId;

/// The value, or a clear word at start.
#[track_caller]
#[allow(
    clippy::panic,
    reason = "a mistake of the program, found where the application is put together"
)]
fn legal<T>(value: Result<T, impl fmt::Display>) -> T {
    // Not in a closure, which would hide the caller's place.
    match value {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}
