//! Who the application's authentication says it is.

use std::fmt;

/// The id of the authenticated user, for the key [`user`](crate::key::user).
///
/// The application's authentication puts it into the request's extensions, once it has verified it:
///
/// ```
/// # use actix_web::{HttpMessage, dev::ServiceRequest};
/// # use rateguard::UserId;
/// # fn authenticated(request: &ServiceRequest) {
/// request.extensions_mut().insert(UserId::new("42"));
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UserId(String);

impl UserId {
    /// A user with this id.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserId(…)")
    }
}
