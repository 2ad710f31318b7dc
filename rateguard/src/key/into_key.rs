//! Converts values of several types into the key of a limit.

use std::{error::Error, fmt, marker::PhantomData, str::FromStr, sync::Arc};

use actix_rateguard_grammar::KeyNotation;

use super::{BuiltinKey, Caller, ComposedKey};
use crate::per_request::{PerRequest, RequestResolver};

/// A value that can become the key of a [`Limit`](crate::Limit).
///
/// These types implement this trait:
///
/// - the built-in keys in the module [`key`](crate::key), and combinations of them with functions ([`ComposedKey`])
/// - text in the notation of the macro attribute, such as `"user+path:tenant"`
/// - a closure or function, sync or async, that takes `&HttpRequest` and returns a value that converts into a
///   [`Caller`]
///
/// The compiler infers the type parameter `Kind`.
#[diagnostic::on_unimplemented(
    message = "expected a key, found `{Self}`",
    note = "expected a built-in key, text such as \"header:X-Api-Key\", or a closure or function over `&HttpRequest`, sync or async, that returns text, a number, a `Key`, a `Caller`, or an `Option` or `Result` of one of them"
)]
pub trait IntoKey<Kind> {
    #[doc(hidden)]
    fn into_key(self) -> Result<LimitKey, KeyError>;
}

/// The key of a limit, with the function that reads it from a request.
#[doc(hidden)]
pub struct LimitKey {
    pub(crate) resolver: RequestResolver<Caller>,
    /// The key in the notation of the macro attribute. `None` if a function of the application reads the key.
    pub(crate) notation: Option<String>,
    /// Whether a part of the key is in the body of a request.
    pub(crate) reads_body: bool,
}

/// Marks the implementation of [`IntoKey`] for text in the notation of the macro attribute.
#[doc(hidden)]
pub enum Notation {}

/// Marks the implementation of [`IntoKey`] for closures and functions.
#[doc(hidden)]
pub struct Function<Kind>(PhantomData<Kind>);

impl From<BuiltinKey> for LimitKey {
    fn from(key: BuiltinKey) -> Self {
        let (notation, reads_body) = (Some(key.to_notation()), key.reads_body());
        let resolver = RequestResolver::Sync(Arc::new(move |it| Ok(key.caller(it))));
        Self { resolver, notation, reads_body }
    }
}

impl IntoKey<BuiltinKey> for BuiltinKey {
    fn into_key(self) -> Result<LimitKey, KeyError> {
        Ok(self.into())
    }
}

impl IntoKey<ComposedKey> for ComposedKey {
    fn into_key(self) -> Result<LimitKey, KeyError> {
        let reads_body = self.reads_body();
        Ok(LimitKey { resolver: self.into_resolver(), notation: None, reads_body })
    }
}

impl IntoKey<Notation> for &str {
    fn into_key(self) -> Result<LimitKey, KeyError> {
        Ok(self.parse::<BuiltinKey>()?.into())
    }
}

impl IntoKey<Notation> for String {
    fn into_key(self) -> Result<LimitKey, KeyError> {
        self.as_str().into_key()
    }
}

impl<Kind, F: PerRequest<Caller, Kind>> IntoKey<Function<Kind>> for F {
    fn into_key(self) -> Result<LimitKey, KeyError> {
        Ok(LimitKey { resolver: self.into_resolver(), notation: None, reads_body: false })
    }
}

/// Parses a built-in key from its notation in the macro attribute.
///
/// ```
/// # use actix_rateguard::key::{self, BuiltinKey};
/// let key: BuiltinKey = "user+path:tenant".parse()?;
/// let error = "user+path:{tenant}".parse::<BuiltinKey>().unwrap_err();
/// assert!(error.to_string().contains("expected the name of a route parameter without braces"));
/// # Ok::<(), key::KeyError>(())
/// ```
impl FromStr for BuiltinKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let notation: KeyNotation =
            text.parse().map_err(|error| KeyError { message: format!("{error}") })?;
        Self::of(&notation).map_err(|message| KeyError { message })
    }
}

/// The error for a text that is not a built-in key, or that requires a Cargo feature that is disabled.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyError {
    message: String,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

actix_rateguard_grammar::debug_as_display!(KeyError);

impl Error for KeyError {}
