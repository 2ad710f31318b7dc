//! The key of a request, and what stands for it when there is none.

use actix_web::HttpRequest;

use crate::{Key, http::client};

/// Reads the key of a request.
///
/// Ready-made ones are in [`key`](crate::key). Every closure or function over `&HttpRequest` is one too, if it returns
/// a [`KeyValue`]: text, a number, a [`Key`], or an `Option` of one of them.
///
/// A request that has no key, for which it returns `None`, is counted by its client's address, apart from the requests
/// that have one. So a missing value neither lifts the limit nor puts strangers together.
pub trait RequestKey: Send + Sync + 'static {
    /// The key of this request, if it has one.
    fn key(&self, request: &HttpRequest) -> Option<Key>;
}

impl<F, V> RequestKey for F
where
    F: Fn(&HttpRequest) -> V + Send + Sync + 'static,
    V: KeyValue,
{
    fn key(&self, request: &HttpRequest) -> Option<Key> {
        self(request).into_key()
    }
}

/// What a key closure may return.
pub trait KeyValue {
    /// The key, or `None` if the request has none.
    fn into_key(self) -> Option<Key>;
}

impl<V: Into<Key>> KeyValue for V {
    fn into_key(self) -> Option<Key> {
        Some(self.into())
    }
}

impl<V: Into<Key>> KeyValue for Option<V> {
    fn into_key(self) -> Option<Key> {
        self.map(Into::into)
    }
}

/// The key that a request has, or that of its client's address.
pub(crate) fn key_or_address(key: Option<Key>, request: &HttpRequest) -> Key {
    key.unwrap_or_else(|| client::network(request).key("no key"))
}
