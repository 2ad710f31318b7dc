//! The user whose identity the application has verified.

use std::fmt;

/// The id of the authenticated user. The key [`user`](crate::key::user) reads this id.
///
/// After the application's authentication has verified the user, it must insert the `UserId` into the request's
/// extensions. The authentication must be a middleware. An extractor runs after the limit, so an extractor inserts the
/// `UserId` too late.
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
    /// Creates the id of a user. `UserId::from` also accepts numbers: `UserId::from(42)` equals `UserId::new("42")`.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for UserId {
    fn from(id: &str) -> Self {
        Self::new(id)
    }
}

impl From<String> for UserId {
    fn from(id: String) -> Self {
        Self::new(id)
    }
}

/// Implements the conversion from numeric ids. The id is the number in decimal digits.
macro_rules! from_integers {
    ($($integer:ty)*) => {
        $(
            impl From<$integer> for UserId {
                fn from(id: $integer) -> Self {
                    Self::new(id.to_string())
                }
            }
        )*
    };
}

from_integers!(i32 i64 u32 u64);

/// The debug output does not contain the id, so a log of the request's extensions does not reveal the user.
impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserId(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_convert_from_texts_and_numbers() {
        for id in [UserId::from("42"), UserId::from("42".to_owned()), 42.into(), 42_u64.into()] {
            assert_eq!(id, UserId::new("42"));
        }
    }
}
