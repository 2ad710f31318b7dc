//! The route probe: a marked request with which a test detects whether a route has a limit.

use std::{cell::Cell, rc::Rc};

use actix_web::{HttpMessage, HttpRequest, HttpResponse};

/// Marks a request as a probe. The extensions of the marked request contain this value.
///
/// Each limit records in this value whether it applies to the request, and counts nothing. A middleware responds to
/// a probe if one of its limits applies. A handler with a macro attribute always responds to a probe.
#[derive(Clone, Default)]
pub(crate) struct RouteProbe(Rc<Cell<bool>>);

impl RouteProbe {
    /// Returns whether a limit has recorded that it applies to the request.
    pub(crate) fn found_limit(&self) -> bool {
        self.0.get()
    }

    /// Returns the probe in the extensions of this request. The result is `None` if the request is not a probe.
    pub(crate) fn of(request: &HttpRequest) -> Option<Self> {
        request.extensions().get::<Self>().cloned()
    }

    /// Records whether a limit applies to the request.
    pub(crate) fn record(&self, applies: bool) {
        self.0.set(self.0.get() || applies);
    }

    /// Returns the response that a limit sends to a probe.
    pub(crate) fn response() -> HttpResponse {
        HttpResponse::NoContent().finish()
    }
}
