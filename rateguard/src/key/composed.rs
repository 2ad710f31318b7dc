//! Keys that consist of built-in keys and of functions of the application.

use std::{fmt, sync::Arc};

use actix_web::{Error, HttpRequest};
use futures_util::FutureExt;
use smallvec::SmallVec;

use super::{BuiltinKey, Caller, into_key::Function};
use crate::{
    Key, client,
    per_request::{PerRequest, RequestResolver},
};

/// A key with at least one part that is a function of the application. [`BuiltinKey::and`], [`json`](super::json) and
/// [`form`](super::form) create it.
#[derive(Clone)]
pub struct ComposedKey {
    parts: SmallVec<[RequestResolver<Caller>; 2]>,
    reads_body: bool,
}

impl fmt::Debug for ComposedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ComposedKey").field("parts", &self.parts.len()).finish()
    }
}

/// A built-in key, a [`ComposedKey`], or a closure or function over `&HttpRequest`, that [`BuiltinKey::and`] and
/// [`ComposedKey::and`] can add to a key. The compiler infers the type parameter `Kind`.
#[diagnostic::on_unimplemented(
    message = "expected a part of a key, found `{Self}`",
    note = "expected a built-in key such as `key::route()`, or a closure or function over `&HttpRequest`, sync or async, that returns text, a number, a `Key`, a `Caller`, or an `Option` or `Result` of one of them"
)]
pub trait JoinKey<Kind> {
    /// The type of the key with both parts.
    type Joined;

    #[doc(hidden)]
    fn join_to(self, first: BuiltinKey) -> Self::Joined;

    #[doc(hidden)]
    fn into_part(self) -> RequestResolver<Caller>;

    /// Returns whether a part of the key is in the body of a request.
    #[doc(hidden)]
    fn reads_body(&self) -> bool {
        false
    }
}

impl JoinKey<BuiltinKey> for BuiltinKey {
    type Joined = BuiltinKey;

    fn join_to(self, first: BuiltinKey) -> BuiltinKey {
        first.joined(self)
    }

    fn into_part(self) -> RequestResolver<Caller> {
        RequestResolver::Sync(Arc::new(move |request| Ok(self.caller(request))))
    }

    fn reads_body(&self) -> bool {
        Self::reads_body(self)
    }
}

impl JoinKey<Self> for ComposedKey {
    type Joined = Self;

    fn join_to(self, first: BuiltinKey) -> Self {
        Self::from(first).and(self)
    }

    fn into_part(self) -> RequestResolver<Caller> {
        self.into_resolver()
    }

    fn reads_body(&self) -> bool {
        self.reads_body
    }
}

impl From<BuiltinKey> for ComposedKey {
    fn from(key: BuiltinKey) -> Self {
        let reads_body = key.reads_body();
        Self { parts: [key.into_part()].into_iter().collect(), reads_body }
    }
}

impl<Kind, F: PerRequest<Caller, Kind>> JoinKey<Function<Kind>> for F {
    type Joined = ComposedKey;

    fn join_to(self, first: BuiltinKey) -> ComposedKey {
        ComposedKey::from(first).and(self)
    }

    fn into_part(self) -> RequestResolver<Caller> {
        self.into_resolver()
    }
}

impl ComposedKey {
    /// Creates a key that this function reads from the body of a request.
    pub(super) fn of_body(function: RequestResolver<Caller>) -> Self {
        Self { parts: [function].into_iter().collect(), reads_body: true }
    }

    /// Adds a part to the key. See [`BuiltinKey::and`].
    #[must_use]
    pub fn and<K: JoinKey<Kind>, Kind>(mut self, other: K) -> Self {
        self.reads_body |= other.reads_body();
        self.parts.push(other.into_part());
        self
    }

    pub(super) fn reads_body(&self) -> bool {
        self.reads_body
    }

    pub(super) fn into_resolver(self) -> RequestResolver<Caller> {
        let parts = Arc::new(self.parts);
        if parts.iter().any(RequestResolver::is_async) {
            return RequestResolver::Async(Arc::new(move |request| {
                let parts = Arc::clone(&parts);
                Box::pin(async move { read(&parts, request).await })
            }));
        }
        RequestResolver::Sync(Arc::new(move |request| {
            // Without an async part, the future is ready at its first poll.
            read(&parts, request).now_or_never().unwrap_or(Ok(Caller::Unknown))
        }))
    }
}

/// Reads the parts of a key from a request, and combines them.
async fn read(parts: &[RequestResolver<Caller>], request: &HttpRequest) -> Result<Caller, Error> {
    let mut keys = SmallVec::<[Key; 4]>::new();
    for part in parts {
        match part.resolve(request).await? {
            Caller::Known(key) => keys.push(key),
            // The request has no key for the part, or is exempt. The same applies to the composed key.
            other @ (Caller::Unknown | Caller::Exempt) => return Ok(other),
        }
    }
    Ok(Caller::Known(match *keys {
        [key] => key,
        _ => client::combined_key(request, &keys),
    }))
}
