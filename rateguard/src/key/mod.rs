//! Built-in keys: what requests are counted by.
//!
//! The functions of this module return keys for [`RateLimit::key`](crate::RateLimit::key), which also takes a closure
//! over `&HttpRequest`. See [`Caller`] for what such a closure may return.
//!
//! By default, a request without a key is counted by its client's address. These counts are separate from those of
//! requests with a key: a missing value neither lifts the limit nor counts different clients together.
//! [`RateLimit::missing_key`](crate::RateLimit::missing_key) changes this.

mod builtin;
mod caller;
mod cookie;
#[cfg(feature = "operator")]
mod operator_key;
mod source;

#[cfg(feature = "actix-identity")]
pub use builtin::identity;
pub(crate) use builtin::read;
#[cfg(feature = "config")]
pub(crate) use builtin::recipe;
#[cfg(feature = "actix-session")]
pub use builtin::session;
pub use builtin::{
    BuiltinKey, bearer, cookie, global, header, ip, ip_network, notation, path, user,
};
pub use caller::Caller;
#[cfg(feature = "operator")]
pub(crate) use operator_key::{
    NO_KEY, OperatorKey, PARTS, VALUE, are_equivalent, may_be_missing, operator_key,
};
