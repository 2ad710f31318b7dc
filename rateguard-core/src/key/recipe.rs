//! Defines key recipes, which create keys from a notation in a policies file, such as `key = "user"`.

use std::{any::Any, fmt, sync::Arc};

use actix_rateguard_grammar::{KeyNotation, KeyPart};

use crate::Key;

/// Creates keys from a notation in a policies file. An HTTP adapter implements this trait for keys that it reads
/// from requests.
pub trait KeyRecipe: Any + fmt::Debug + Send + Sync {
    /// Returns the notation, such as `user+path:tenant`.
    fn notation(&self) -> String;

    /// Returns the key for a value that a key with this notation reads from requests, such as a user id. All requests
    /// with this value have the returned key. Returns `None` if no request can have such a key.
    fn key_of(&self, value: &str) -> Option<Key>;
}

/// A function that creates the recipe for a notation. If this program cannot read keys with the notation, the
/// function returns the reason as an error.
pub type KeyRecipes = fn(&KeyNotation) -> Result<Arc<dyn KeyRecipe>, String>;

impl Key {
    /// Returns the key for one part of a notation and the value of the part. For the parts `ip` and `global`, which
    /// have no value, the result is the global key. The name of a header must be in lower case.
    #[doc(hidden)]
    #[must_use]
    pub fn of_part(part: &KeyPart, value: &[u8]) -> Self {
        match part {
            KeyPart::User => Self::tagged("user", [value]),
            KeyPart::Identity => Self::tagged("identity", [value]),
            KeyPart::Session(name) => Self::tagged("session", [name.as_bytes(), value]),
            KeyPart::Bearer => Self::tagged("bearer", [value]),
            KeyPart::Header(name) => Self::tagged("header", [name.as_bytes(), value]),
            KeyPart::Cookie(name) => Self::tagged("cookie", [name.as_bytes(), value]),
            KeyPart::Path(name) => Self::tagged("path", [name.as_bytes(), value]),
            KeyPart::Json(pointer) => Self::tagged("json", [pointer.as_str().as_bytes(), value]),
            KeyPart::Form(name) => Self::tagged("form", [name.as_bytes(), value]),
            KeyPart::Route => Self::tagged("route", [value]),
            KeyPart::Method => Self::tagged("method", [value]),
            KeyPart::Ip | KeyPart::IpNetwork(_) | KeyPart::Global => Self::global(),
        }
    }
}
