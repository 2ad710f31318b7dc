//! Who makes a request, as a key tells it.

use actix_web::Error;

use crate::{Key, http::per_request::IntoChoice};

/// Who makes a request, as far as a limit is concerned.
///
/// A key closure may return it, or something that is taken for it: whatever a [`Key`] is made from (text, bytes, a
/// number, an address, a tuple of them) is [`Known`](Self::Known), a `None` is [`Unknown`](Self::Unknown), and an `Err`
/// answers the request.
///
/// ```
/// # use actix_web::HttpRequest;
/// # use rateguard::{Caller, Key, RateGuard, RateLimit};
/// # let guard = RateGuard::in_memory();
/// let limit = RateLimit::new(&guard, "100/minute").by(|request: &HttpRequest| {
///     match request.headers().get("X-Tenant") {
///         Some(tenant) if tenant == "ourselves" => Caller::Exempt,
///         Some(tenant) => Caller::Known(Key::from(tenant.as_bytes())),
///         None => Caller::Unknown,
///     }
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Counted under this key.
    Known(Key),
    /// Has no key; the limit's [`MissingKey`](crate::MissingKey) says what happens to the request.
    Unknown,
    /// Not limited by this limit.
    Exempt,
}

impl IntoChoice<Self> for Caller {
    fn into_choice(self) -> Result<Self, Error> {
        Ok(self)
    }
}

impl<V: Into<Key>> IntoChoice<Caller> for V {
    fn into_choice(self) -> Result<Caller, Error> {
        Ok(Caller::Known(self.into()))
    }
}

impl<V: Into<Key>> IntoChoice<Caller> for Option<V> {
    fn into_choice(self) -> Result<Caller, Error> {
        Ok(self.map_or(Caller::Unknown, |key| Caller::Known(key.into())))
    }
}

impl<V: IntoChoice<Caller>, E: Into<Error>> IntoChoice<Caller> for Result<V, E> {
    fn into_choice(self) -> Result<Caller, Error> {
        self.map_err(Into::into)?.into_choice()
    }
}
