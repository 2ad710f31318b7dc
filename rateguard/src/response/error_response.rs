//! Stores the response to an error that an inner middleware has returned, with the header fields of a decision.

use std::cell::Cell;

use actix_web::{Error, HttpResponse};

use super::headers::write_decision;
use crate::{Decision, RateGuard};

/// Stores `response` in `error`, with the header fields that report `decision`, if there is one. `response` is the
/// first response that the error has created. Some errors, such as [`InternalError`](actix_web::error::InternalError),
/// can create their response only once, so actix-web must send this response.
///
/// The error keeps its type, so outer middlewares can downcast it. The function adds a response mapper to the error,
/// which is a function that `Error::error_response` calls with each response that it creates. At the first call, the
/// mapper replaces the created response with the stored response. actix-web creates the response to an error with
/// `Error::error_response`. An outer middleware may call `HttpResponse::from_error` instead, which calls no response
/// mapper. The client then gets a response without the header fields. If the error can create its response only once,
/// this response is empty and has status 500.
pub(crate) fn store_response(
    error: &mut Error,
    response: HttpResponse,
    decision: Option<Decision>,
    guard: RateGuard,
) {
    let stored = Cell::new(Some(response));
    error.add_response_mapper(move |created| {
        let mut response = stored.take().unwrap_or(created);
        if let Some(decision) = &decision {
            write_decision(decision, guard.http(), Some(0), response.headers_mut());
        }
        response
    });
}
