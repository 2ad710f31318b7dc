//! Adds the header fields of a decision to the response of an error that an inner middleware has returned.

use std::cell::Cell;

use actix_web::{Error, HttpResponse};

use super::headers::write_decision;
use crate::{Decision, RateGuard};

/// Adds the header fields that report `decision` to the response of `error`. `response` is the first response that
/// the error has created. The error sends this one, because some errors, such as
/// [`InternalError`](actix_web::error::InternalError), can create their response only once.
///
/// The error keeps its type, so outer middlewares can downcast it. actix-web creates the response with
/// `Error::error_response`, which calls the mapper. `HttpResponse::from_error` calls no mapper, so a middleware that
/// uses this function sends a response without the header fields.
pub(crate) fn add_headers(
    error: &mut Error,
    response: HttpResponse,
    decision: Decision,
    guard: RateGuard,
) {
    let first = Cell::new(Some(response));
    error.add_response_mapper(move |repeated| {
        let mut response = first.take().unwrap_or(repeated);
        write_decision(&decision, guard.http(), 0, response.headers_mut());
        response
    });
}
