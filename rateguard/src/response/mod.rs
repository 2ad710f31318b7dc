//! Creates the headers that report a decision, and the responses to rejected requests.

mod early_response;
mod error_response;
mod headers;
mod rejection;

pub(crate) use self::{
    early_response::EarlyResponse,
    error_response::store_response,
    headers::{jitter, write_decision},
};
