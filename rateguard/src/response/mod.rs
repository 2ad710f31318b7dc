//! Creates the headers that report a decision, and the responses to rejected requests.

mod error_response;
mod headers;
mod rejection;

#[cfg(feature = "macros")]
pub(crate) use self::rejection::misconfigured;
pub(crate) use self::{
    error_response::LimitedError,
    headers::{jitter, write_decision},
    rejection::Rejection,
};
