//! How every answer is written: as data, for this client alone, and for no longer than now.

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS},
    },
};
use serde_json::{Value, json};

/// The version of what is answered.
const VERSION: u32 = 1;

/// An answer with these fields.
pub(super) fn answer(body: Value) -> HttpResponse {
    finish(StatusCode::OK, "application/json", &versioned(body))
}

/// The same fields with their version.
pub(super) fn versioned(mut body: Value) -> Value {
    if let Value::Object(fields) = &mut body {
        fields.insert("version".to_owned(), json!(VERSION));
    }
    body
}

pub(super) fn finish(status: StatusCode, content_type: &str, body: &Value) -> HttpResponse {
    let mut text = body.to_string();
    text.push('\n');
    HttpResponse::build(status)
        .content_type(content_type)
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(text)
}
