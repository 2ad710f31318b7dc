//! The user whose identity the application has verified.

use std::fmt;

/// The id of the authenticated user. The key [`user`](crate::key::user) reads this id.
///
/// When the application's authentication has verified the user, it inserts the `UserId` into the request's
/// extensions:
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

/// The debug output does not contain the id, so a log of the request's extensions does not reveal the user.
impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserId(…)")
    }
}
