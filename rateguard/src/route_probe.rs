//! The probe with which a test detects whether a route has a limit.

use std::{cell::Cell, rc::Rc};

use actix_web::{HttpMessage, HttpRequest, HttpResponse};

/// Marks a request as a probe, in its extensions.
///
/// Limits record in it whether they apply to the request, and count nothing. The first middleware that applies ends the
/// request, and so does every handler with an attribute.
#[derive(Clone, Default)]
pub(crate) struct RouteProbe(Rc<Cell<bool>>);

impl RouteProbe {
    /// Returns whether a limit applies to the request.
    pub(crate) fn found_limit(&self) -> bool {
        self.0.get()
    }

    /// Returns the probe of this request, if it is one.
    pub(crate) fn of(request: &HttpRequest) -> Option<Self> {
        request.extensions().get::<Self>().cloned()
    }

    /// Records whether a limit applies to the request.
    pub(crate) fn record(&self, applies: bool) {
        self.0.set(self.0.get() || applies);
    }

    /// Returns the response that ends a probe.
    pub(crate) fn response() -> HttpResponse {
        HttpResponse::NoContent().finish()
    }
}
