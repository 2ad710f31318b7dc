//! The functions with which an application creates its own responses to rejected requests.

use actix_web::{HttpRequest, HttpResponse};

use crate::Rejection;

/// A function of the application that creates the response to a rejected request. The result is `None` if the
/// function leaves the response to RateGuard.
pub(crate) type OnReject = dyn Fn(&HttpRequest, &Rejection) -> Option<HttpResponse> + Send + Sync;
