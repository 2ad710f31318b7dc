//! The application's own responses to denied requests.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse};

use crate::Decision;

/// The application's response to a denied request.
pub(crate) type OnDenied = Arc<dyn Fn(&HttpRequest, &Decision) -> HttpResponse + Send + Sync>;

/// The `on_denied` function of one limit.
pub(crate) enum OnDeniedRef<'a> {
    Shared(&'a OnDenied),
    #[cfg(feature = "macros")]
    Function(fn(&HttpRequest, &Decision) -> HttpResponse),
}

impl OnDeniedRef<'_> {
    pub(crate) fn to_shared(&self) -> OnDenied {
        match self {
            Self::Shared(function) => Arc::clone(function),
            #[cfg(feature = "macros")]
            Self::Function(function) => Arc::new(*function),
        }
    }
}
