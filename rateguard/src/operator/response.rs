//! Creates the responses of the endpoints. A response contains JSON. Its headers forbid caches to store it, and
//! forbid browsers to interpret it as a web page.

use std::fmt::Write;

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS},
    },
};
use serde_json::{Value, json};

/// The value of the field `version` in each response.
const VERSION: u32 = 1;

/// Creates a response with the fields of `body` and the version.
pub(super) fn json_response(body: Value) -> HttpResponse {
    build(StatusCode::OK, "application/json", &with_version(body))
}

/// Adds the field `version` to an object.
pub(super) fn with_version(mut body: Value) -> Value {
    if let Value::Object(fields) = &mut body {
        fields.insert("version".to_owned(), json!(VERSION));
    }
    body
}

/// Adds the fields of the object `source` to the object `target`.
pub(super) fn merge(mut target: Value, source: Value) -> Value {
    if let (Value::Object(fields), Value::Object(added)) = (&mut target, source) {
        fields.extend(added);
    }
    target
}

/// Creates a response with the headers that all responses of the endpoints have.
pub(super) fn build(status: StatusCode, content_type: &str, body: &Value) -> HttpResponse {
    let mut text = escape_json(&body.to_string());
    text.push('\n');
    HttpResponse::build(status)
        .content_type(content_type)
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(text)
}

/// Escapes the markup characters of HTML, and all characters that are not printable ASCII.
///
/// As a result, a terminal or a browser cannot interpret a hostile key as control sequences or markup. In JSON,
/// such characters occur only inside strings, so the meaning of the JSON stays the same.
fn escape_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            ' '..='~' if !"<>&'".contains(character) => escaped.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // The result is ignored because writing to a `String` cannot fail.
                    let _ = write!(escaped, "\\u{unit:04x}");
                }
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_json_is_printable_and_equal() {
        let hostile = json!({ "key": "<script>'&\u{202e}\u{7f}\u{0}\n\"\\ \u{1f600} \u{2028}" });
        let text = escape_json(&hostile.to_string());
        assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
        assert!(!text.contains(['<', '>', '&', '\'']), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), hostile);
    }
}
