//! Creates the headers that report a decision, and the responses to rejected requests.

mod early_response;
mod error_headers;
mod headers;
mod rejection;

pub(crate) use self::{
    early_response::EarlyResponse,
    error_headers::add_headers,
    headers::{jitter, write_decision},
};
