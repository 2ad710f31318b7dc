//! The probe that detects in a test whether a route has a limit.

use std::{cell::Cell, rc::Rc};

use actix_web::{HttpMessage, HttpRequest, HttpResponse};

/// Marks a request as a probe. The extensions of the request hold this value.
///
/// Limits record in the probe whether they apply to the request, and count nothing. The first middleware whose limit
/// applies responds to the request, and so does every handler with a macro attribute.
#[derive(Clone, Default)]
pub(crate) struct RouteProbe(Rc<Cell<bool>>);

impl RouteProbe {
    /// Returns whether a limit has recorded that it applies to the request.
    pub(crate) fn found_limit(&self) -> bool {
        self.0.get()
    }

    /// Returns the probe of this request. `None` if the request is not a probe.
    pub(crate) fn of(request: &HttpRequest) -> Option<Self> {
        request.extensions().get::<Self>().cloned()
    }

    /// Records whether a limit applies to the request.
    pub(crate) fn record(&self, applies: bool) {
        self.0.set(self.0.get() || applies);
    }

    /// Returns the response to a probe.
    pub(crate) fn response() -> HttpResponse {
        HttpResponse::NoContent().finish()
    }
}
