//! The functions with which an application creates its own responses to denied requests.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse};

use crate::Decision;

/// A function of the application that creates the response to a denied request.
pub(crate) type OnDenied = Arc<dyn Fn(&HttpRequest, &Decision) -> HttpResponse + Send + Sync>;

/// The `on_denied` function that the application has set for one limit.
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
