//! The inventory, which is a list of the limits of a guard. A limit appears in the list even if it has not checked a
//! request yet.

#[cfg(feature = "macros")]
mod attribute;
#[cfg(not(feature = "macros"))]
#[path = "attribute_noop.rs"]
mod attribute;
mod limit_info;
mod list;
mod middlewares;
mod name_claims;

#[cfg(feature = "macros")]
#[doc(hidden)]
pub use attribute::{AttributeLimit, PolicyUse};
pub(crate) use attribute::{attribute_policies, register_attributes, register_valid_attributes};
pub use limit_info::{LimitInfo, LimitKind};
pub(crate) use limit_info::{missing_key_name, on_error_name};
pub use list::Inventory;
pub(crate) use list::LimitSource;
pub(crate) use middlewares::{ActiveMiddleware, MiddlewareRegistry, RegisteredLimit};
pub(crate) use name_claims::NameClaim;

/// The text that describes a key for which there is no notation, because a closure or function reads it.
pub(crate) const FUNCTION: &str = "function";
