//! The answers of a limit that does not let a request through.
//!
//! Their bodies are constant: whatever is in them can be read by anybody.

use std::time::Duration;

use actix_web::{HttpResponse, http::StatusCode, http::header::ContentType};

use super::headers::{write_no_store, write_retry_after};

/// How long a client should stay away while the store is: about as long as it takes to notice that it is back.
const STORE_AWAY: Duration = Duration::from_secs(1);

/// 429: the limit is reached. The numbers are written by whoever writes those of all responses.
pub(super) fn denied() -> HttpResponse {
    refusal(StatusCode::TOO_MANY_REQUESTS, "Too many requests. Please retry later.\n")
}

/// 429: the request costs more than the limit ever admits. There is no time after which it would pass.
pub(super) fn too_costly() -> HttpResponse {
    refusal(StatusCode::TOO_MANY_REQUESTS, "This request is larger than its rate limit.\n")
}

/// 503: nothing could be decided and the limit fails closed. The client is not to blame.
pub(super) fn unavailable() -> HttpResponse {
    let mut response =
        refusal(StatusCode::SERVICE_UNAVAILABLE, "Service unavailable. Please retry later.\n");
    write_retry_after(STORE_AWAY, response.headers_mut());
    response
}

/// 500: the application has a mistake, which is in the log.
#[cfg(feature = "macros")]
pub(super) fn misconfigured() -> HttpResponse {
    refusal(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error.\n")
}

fn refusal(status: StatusCode, body: &'static str) -> HttpResponse {
    let mut response =
        HttpResponse::build(status).content_type(ContentType::plaintext()).body(body);
    write_no_store(response.headers_mut());
    response
}
