//! How every answer is written: as data, for this client alone, and for no longer than now.

use std::fmt::Write;

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
    let mut text = plain(&body.to_string());
    text.push('\n');
    HttpResponse::build(status)
        .content_type(content_type)
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(text)
}

/// The same JSON in printable ASCII without what is markup in HTML: also a terminal or a page shows hostile keys as data.
///
/// All that is replaced stands in strings; outside of them JSON has none of it.
fn plain(json: &str) -> String {
    let mut plain = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            ' '..='~' if !"<>&'".contains(letter) => plain.push(letter),
            _ => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    // Writing to a `String` cannot fail.
                    let _ = write!(plain, "\\u{unit:04x}");
                }
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_plain_is_escaped_and_means_the_same() {
        let hostile = json!({ "key": "<script>'&\u{202e}\u{7f}\u{0}\n\"\\ \u{1f600} \u{2028}" });
        let text = plain(&hostile.to_string());
        assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
        assert!(!text.contains(['<', '>', '&', '\'']), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), hostile);
    }
}
