//! Reads keys from the body of a request: buffers the body, finds a value in it, and hands the body on unchanged.

mod buffer;
mod buffered_body;
mod form;
mod json;

pub(crate) use buffer::{buffer, may_have_key, skip};
pub(crate) use buffered_body::{BodyFormat, BufferedBody};
pub(crate) use form::{form_field, parse_form};
pub(crate) use json::{json_value, parse_json};
