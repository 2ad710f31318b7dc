//! The functions with which an application creates its own responses to rejected requests.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse};

use crate::Rejection;

/// A function of the application that creates the response to a rejected request.
#[derive(Clone)]
pub(crate) enum OnReject {
    /// The function of a guard or of a middleware.
    Shared(Arc<SharedFunction>),
    /// The function of a macro attribute.
    #[cfg(feature = "macros")]
    Pointer(OnRejectFn),
}

/// A function of a macro attribute that creates the response to a rejected request.
#[cfg(feature = "macros")]
pub type OnRejectFn = fn(&HttpRequest, &Rejection) -> Option<HttpResponse>;

type SharedFunction = dyn Fn(&HttpRequest, &Rejection) -> Option<HttpResponse> + Send + Sync;

impl OnReject {
    pub(crate) fn new(
        function: impl Fn(&HttpRequest, &Rejection) -> Option<HttpResponse> + Send + Sync + 'static,
    ) -> Self {
        Self::Shared(Arc::new(function))
    }

    /// Calls the function. The result is `None` if the function leaves the response to RateGuard.
    pub(crate) fn call(
        &self,
        request: &HttpRequest,
        rejection: &Rejection,
    ) -> Option<HttpResponse> {
        match self {
            Self::Shared(function) => function(request, rejection),
            #[cfg(feature = "macros")]
            Self::Pointer(function) => function(request, rejection),
        }
    }
}
