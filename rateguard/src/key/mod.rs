//! Built-in keys for limits. A limit counts all requests with the same key together.
//!
//! The functions of this module return keys for [`Limit::key`](crate::Limit::key). `Limit::key` also accepts text in
//! the notation of the macro attribute, such as `"user+path:tenant"`, or a closure over `&HttpRequest`. The
//! documentation of [`Caller`] describes the values that such a closure can return.
//!
//! By default, a limit counts a request without a key by the client's address, so a client cannot avoid the limit by
//! omitting its key. The counts of requests without a key are separate for each client, and separate from the counts of
//! requests with a key. [`Limit::missing_key`](crate::Limit::missing_key) changes this default.

mod body;
mod builtin;
mod caller;
mod composed;
mod cookie;
#[cfg(feature = "operator")]
mod enabled_parts;
#[cfg(feature = "actix-identity")]
mod identity;
#[cfg(not(feature = "actix-identity"))]
#[path = "identity_noop.rs"]
mod identity;
mod into_key;
#[cfg(feature = "actix-session")]
mod session;
#[cfg(not(feature = "actix-session"))]
#[path = "session_noop.rs"]
mod session;
mod source;

pub use body::{FormKey, JsonKey, form, json};
#[cfg(feature = "actix-identity")]
pub use builtin::identity;
#[cfg(feature = "config")]
pub(crate) use builtin::recipe;
#[cfg(feature = "actix-session")]
pub use builtin::session;
pub use builtin::{
    BuiltinKey, bearer, client_ip, cookie, global, header, ip, ip_network, method, notation, path,
    route, user,
};
pub(crate) use builtin::{read, reads_body};
pub use caller::Caller;
pub use composed::{ComposedKey, JoinKey};
#[cfg(feature = "operator")]
pub(crate) use enabled_parts::require_enabled_parts;
pub(crate) use identity::VERSION as IDENTITY_VERSION;
pub(crate) use into_key::LimitKey;
pub use into_key::{IntoKey, KeyError};
pub(crate) use session::VERSION as SESSION_VERSION;
