//! Creates the headers that report a decision, and the responses to rejected requests.

mod early_response;
mod error_response;
mod headers;
mod permit_body;
mod rejection;

pub(crate) use self::{
    early_response::EarlyResponse,
    error_response::store_response,
    headers::{jitter, write_decision},
    permit_body::{PermitBody, hold_until_end, unless_head},
};
