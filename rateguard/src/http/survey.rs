//! The question of a test to the routes of an application: is there a limit before you?

use std::{cell::Cell, rc::Rc};

use actix_web::{HttpMessage, HttpRequest, HttpResponse};

/// In the extensions of a request that only asks. Limits that are for it say so. The first of them answers it, and so does each
/// handler with limits; nothing is counted.
#[derive(Clone, Default)]
pub(crate) struct Survey(Rc<Cell<bool>>);

impl Survey {
    pub(crate) fn has_met_a_limit(&self) -> bool {
        self.0.get()
    }

    /// That of this request, if it only asks.
    pub(super) fn of(request: &HttpRequest) -> Option<Self> {
        request.extensions().get::<Self>().cloned()
    }

    /// A limit is for this request, or not.
    pub(super) fn note(&self, applies: bool) {
        self.0.set(self.0.get() || applies);
    }

    pub(super) fn answer() -> HttpResponse {
        HttpResponse::NoContent().finish()
    }
}
