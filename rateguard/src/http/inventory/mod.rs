//! What limits there are, before any request comes.

#[cfg(feature = "macros")]
mod annotated;
mod known_limit;
mod list;
mod middlewares;

#[cfg(feature = "macros")]
pub use annotated::Annotated;
pub use known_limit::{KnownLimit, LimitKind};
#[cfg(feature = "operator")]
pub(crate) use known_limit::{missing_word, on_error_word};
pub use list::Inventory;
pub(in crate::http) use list::Source;
pub(in crate::http) use middlewares::{Middlewares, Noted};

/// Stands for a key that a closure or function reads.
pub(crate) const FUNCTION: &str = "function";
