//! The user that the application has authenticated.

use std::fmt;

/// The id of the authenticated user, for the key [`user`](crate::key::user).
///
/// After the application's authentication has verified the user, it inserts the `UserId` into the request's extensions:
///
/// ```
/// # use actix_web::{HttpMessage, dev::ServiceRequest};
/// # use actix_rateguard::UserId;
/// # fn authenticated(request: &ServiceRequest) {
/// request.extensions_mut().insert(UserId::new("42"));
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UserId(String);

impl UserId {
    /// Creates the id of a user.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Hides the id, so the debug output of a request does not reveal the user.
impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserId(…)")
    }
}
