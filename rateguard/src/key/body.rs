//! Keys in the body of a request: the functions `json` and `form`.

use std::{marker::PhantomData, sync::Arc};

use actix_web::{Error, HttpRequest};
use serde::de::DeserializeOwned;

use super::{BuiltinKey, Caller, ComposedKey, builtin::part};
use crate::{
    body_key::{parse_form, parse_json},
    per_request::{IntoResolved, RequestResolver},
};

/// Returns a key that reads a value in the JSON body of a request. Its notation in the macro attribute is
/// `"json:/POINTER"`.
///
/// The argument is one of these:
///
/// - A JSON pointer (RFC 6901), such as `"/user/name"`. The value at this place must be text or a number. All spellings
///   of a number, such as `1` and `1.0`, have the key of its decimal text, so the number 1 and the text `"1"` have one
///   key.
/// - A closure or function over the body, as the handler deserializes it. It returns the same values as a key function,
///   see [`Caller`]. A closure needs the type of its argument, which is a type of yours or `serde_json::Value`.
///
/// ```
/// # use actix_rateguard::{Limit, key};
/// #[derive(serde::Deserialize)]
/// struct Login {
///     email: String,
///     password: String,
/// }
///
/// let by_text = Limit::new("5/minute").key(key::json("/email"));
/// let by_account = Limit::new("5/minute").key(key::json(|login: &Login| login.email.to_lowercase()));
/// ```
///
/// With the type of the handler, the function gets the same value as the handler, whatever a client sends. With a
/// pointer, a handler can read an account that the pointer does not find, for example through `#[serde(alias)]`.
///
/// RateGuard reads the body before the handler, up to [`max_key_body`](crate::RateGuardBuilder::max_key_body) bytes,
/// and hands it on unchanged. It reads a body only after it has checked all other limits of the same decision. The
/// media type must be one of JSON, such as `application/json`. A body that is longer, compressed, of another type or
/// not valid has no key. To reject such a request, set [`missing_key`](crate::Limit::missing_key) to `"deny"`.
///
/// # Panics
///
/// The function panics if the text is not a valid pointer that begins with `/`. The panic occurs when the application
/// creates the key, not when a request arrives. To get an error instead of a panic, parse the notation:
/// `"json:/email".parse::<BuiltinKey>()`.
#[must_use]
#[track_caller]
pub fn json<K: JsonKey<Kind>, Kind>(key: K) -> K::Key {
    key.into_json_key()
}

/// Returns a key that reads a field of the form in the body of a request (`application/x-www-form-urlencoded`). Its
/// notation in the macro attribute is `"form:NAME"`.
///
/// The argument is the name of a field, or a closure or function over the form, as the handler deserializes it. If a
/// form has several fields with the name, the last one counts. Except for the media type, the rules of [`json`] apply.
///
/// ```
/// # use actix_rateguard::{Limit, key};
/// #[derive(serde::Deserialize)]
/// struct Login {
///     email: String,
///     password: String,
/// }
///
/// let by_text = Limit::new("5/minute").key(key::form("email"));
/// let by_account = Limit::new("5/minute").key(key::form(|login: &Login| login.email.to_lowercase()));
/// ```
///
/// # Panics
///
/// The function panics if the name is empty. The panic occurs when the application creates the key, not when a request
/// arrives.
#[must_use]
#[track_caller]
pub fn form<K: FormKey<Kind>, Kind>(key: K) -> K::Key {
    key.into_form_key()
}

/// An argument of [`json`]: a JSON pointer, or a function over the deserialized body. The compiler infers the type
/// parameter `Kind`.
#[diagnostic::on_unimplemented(
    message = "expected a JSON pointer or a function over the body, found `{Self}`",
    note = "expected text such as \"/user/name\", or a closure such as `|login: &Login| login.email.clone()` whose argument implements `serde::Deserialize`, and that returns text, a number, a `Key`, a `Caller`, or an `Option` or `Result` of one of them"
)]
pub trait JsonKey<Kind> {
    /// The type of the key.
    type Key;

    #[doc(hidden)]
    fn into_json_key(self) -> Self::Key;
}

/// An argument of [`form`]: the name of a field, or a function over the deserialized form. The compiler infers the type
/// parameter `Kind`.
#[diagnostic::on_unimplemented(
    message = "expected the name of a form field or a function over the form, found `{Self}`",
    note = "expected text such as \"email\", or a closure such as `|login: &Login| login.email.clone()` whose argument implements `serde::Deserialize`, and that returns text, a number, a `Key`, a `Caller`, or an `Option` or `Result` of one of them"
)]
pub trait FormKey<Kind> {
    /// The type of the key.
    type Key;

    #[doc(hidden)]
    fn into_form_key(self) -> Self::Key;
}

/// Marks the implementations of [`JsonKey`] and [`FormKey`] for text.
#[doc(hidden)]
pub enum Place {}

/// Marks the implementations of [`JsonKey`] and [`FormKey`] for functions over a body of type `T`.
#[doc(hidden)]
pub struct OverBody<T, Kind>(PhantomData<(T, Kind)>);

impl JsonKey<Place> for &str {
    type Key = BuiltinKey;

    #[track_caller]
    fn into_json_key(self) -> BuiltinKey {
        part(&format!("json:{self}"))
    }
}

impl FormKey<Place> for &str {
    type Key = BuiltinKey;

    #[track_caller]
    fn into_form_key(self) -> BuiltinKey {
        part(&format!("form:{self}"))
    }
}

impl<F, T, V, Kind> JsonKey<OverBody<T, Kind>> for F
where
    F: Fn(&T) -> V + Send + Sync + 'static,
    T: DeserializeOwned + 'static,
    V: IntoResolved<Caller, Kind>,
{
    type Key = ComposedKey;

    fn into_json_key(self) -> ComposedKey {
        of_function(parse_json, self)
    }
}

impl<F, T, V, Kind> FormKey<OverBody<T, Kind>> for F
where
    F: Fn(&T) -> V + Send + Sync + 'static,
    T: DeserializeOwned + 'static,
    V: IntoResolved<Caller, Kind>,
{
    type Key = ComposedKey;

    fn into_form_key(self) -> ComposedKey {
        of_function(parse_form, self)
    }
}

/// Returns the key that the function reads from the parsed body. A request whose body cannot be parsed has no key.
fn of_function<T: 'static, V: IntoResolved<Caller, Kind>, Kind>(
    parse: fn(&HttpRequest) -> Option<T>,
    function: impl Fn(&T) -> V + Send + Sync + 'static,
) -> ComposedKey {
    ComposedKey::of_body(RequestResolver::Sync(Arc::new(move |request| -> Result<Caller, Error> {
        parse(request).map_or(Ok(Caller::Unknown), |body| function(&body).into_resolved())
    })))
}
