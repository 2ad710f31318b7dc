//! The value that a key function returns.

use actix_web::Error;

use crate::{
    Key,
    per_request::{IntoResolved, Optional, Plain},
};

/// The client of a request, as a key function identifies it.
///
/// Instead of a `Caller`, a key function can return a value that converts into a `Caller`. A value that converts into a
/// [`Key`] (text, bytes, a number, an address, or a tuple of such values) becomes [`Known`](Self::Known), and `None`
/// becomes [`Unknown`](Self::Unknown). A text and a number have different keys, even if they look the same, such as
/// `"7"` and 7. The same is true for a text and an address. If the function returns an `Err`, the error becomes the
/// response to the request.
///
/// ```
/// # use actix_web::HttpRequest;
/// # use actix_rateguard::{Caller, Key, Limit};
/// let limit = Limit::new("100/minute").key(|request: &HttpRequest| {
///     match request.headers().get("X-Tenant") {
///         Some(tenant) if tenant == "ourselves" => Caller::Exempt,
///         Some(tenant) => Caller::Known(Key::from(tenant.as_bytes())),
///         None => Caller::Unknown,
///     }
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Caller {
    /// The client has this key, and the limit counts the request by the key.
    Known(Key),
    /// The request has no key. The limit's [`MissingKey`](crate::MissingKey) setting determines how the limit
    /// treats the request.
    Unknown,
    /// The limit does not apply to this request.
    Exempt,
}

/// Marks the implementation of [`IntoResolved`] for a [`Caller`], which needs no conversion.
#[doc(hidden)]
pub enum Direct {}

impl IntoResolved<Self, Direct> for Caller {
    fn into_resolved(self) -> Result<Self, Error> {
        Ok(self)
    }
}

impl<V: Into<Key>> IntoResolved<Caller, Plain> for V {
    fn into_resolved(self) -> Result<Caller, Error> {
        Ok(Caller::Known(self.into()))
    }
}

impl<V: Into<Key>> IntoResolved<Caller, Optional> for Option<V> {
    fn into_resolved(self) -> Result<Caller, Error> {
        Ok(self.map_or(Caller::Unknown, |key| Caller::Known(key.into())))
    }
}
