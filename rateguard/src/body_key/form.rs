//! Reads a field of a form (`application/x-www-form-urlencoded`) in the body of a request.

use std::borrow::Cow;

use actix_web::{HttpRequest, web::Query};
use percent_encoding::{CONTROLS, percent_decode, percent_encode};
use serde::de::DeserializeOwned;

use super::{BodyFormat, BufferedBody};

/// Returns the value of a field of the form. If the form has several fields with this name, returns the last value, as
/// for a handler that reads the form into a map. Returns `None` if the value is empty or missing.
pub(crate) fn form_field(request: &HttpRequest, name: &str) -> Option<String> {
    let body = BufferedBody::bytes(request, BodyFormat::Form)?;
    let value = last_value(&body, name)?;
    (!value.is_empty()).then_some(value)
}

fn last_value(body: &[u8], name: &str) -> Option<String> {
    body.rsplit(|byte| *byte == b'&').find_map(|field| {
        let end = field.iter().position(|byte| *byte == b'=');
        let (field_name, value) = match end {
            Some(end) => (&field[..end], &field[end + 1..]),
            // An empty part between two `&` is no field (URL Standard, `application/x-www-form-urlencoded` parsing).
            None if field.is_empty() => return None,
            None => (field, &[][..]),
        };
        (decoded(field_name) == name).then(|| decoded(value))
    })
}

/// Decodes a name or value. Bytes that are not UTF-8 become `U+FFFD`, as in actix-web's extractor `Form`.
fn decoded(encoded: &[u8]) -> String {
    let spaced: Cow<'_, [u8]> = match encoded.contains(&b'+') {
        true => encoded.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect(),
        false => encoded.into(),
    };
    percent_decode(&spaced).decode_utf8_lossy().into_owned()
}

/// Deserializes the form as actix-web's extractor `Form` does. Returns `None` if the form has no value of this type.
pub(crate) fn parse_form<T: DeserializeOwned>(request: &HttpRequest) -> Option<T> {
    let body = BufferedBody::bytes(request, BodyFormat::Form)?;
    // The encoding makes the body text, and the parser reverses it. So the parser gets the same bytes as `Form`.
    let text = percent_encode(&body, CONTROLS).to_string();
    Query::from_query(&text).ok().map(Query::into_inner)
}

#[cfg(test)]
mod tests {
    use actix_web::{FromRequest, http::header::CONTENT_TYPE, test::TestRequest, web};
    use futures_util::FutureExt;

    use super::*;

    type Fields = Vec<(String, String)>;

    const BODIES: &[&[u8]] = &[
        b"email=ann",
        b"email=ann&email=bob",
        b"email=ann&&",
        b"&=&email=ann&=x",
        b"email",
        b"email=",
        b"email=a=b",
        b"e%6dail=%61nn",
        b"email=a+b%2Bc",
        b"email=%c3%a9",
        b"email=\xc3%a9",
        b"email=\xc3\xa9&x=\xff",
        b"email=%ff%",
        b"email=%00%0a\n\0",
        b"",
        b"\xff",
        b"email;email=ann",
    ];

    fn request(body: &'static [u8]) -> (HttpRequest, actix_web::dev::Payload) {
        TestRequest::post()
            .insert_header((CONTENT_TYPE, "application/x-www-form-urlencoded"))
            .set_payload(body)
            .to_http_parts()
    }

    #[test]
    fn field_and_form_are_the_same_as_for_handlers() {
        for body in BODIES {
            let (http, mut payload) = request(body);
            let form = web::Form::<Fields>::from_request(&http, &mut payload);
            let expected = form.now_or_never().unwrap().unwrap().into_inner();
            BufferedBody::store(&http, Some(web::Bytes::from_static(body)));
            assert_eq!(parse_form::<Fields>(&http).as_ref(), Some(&expected), "{body:?}");
            let email = expected.iter().rev().find(|(name, _)| name == "email");
            let email = email.map(|(_, value)| value.clone()).filter(|value| !value.is_empty());
            assert_eq!(form_field(&http, "email"), email, "{body:?}");
        }
    }

    #[test]
    fn other_formats_have_no_fields() {
        let (http, _) =
            TestRequest::post().insert_header((CONTENT_TYPE, "application/json")).to_http_parts();
        BufferedBody::store(&http, Some(web::Bytes::from_static(b"email=ann")));
        assert_eq!(form_field(&http, "email"), None);
        assert_eq!(parse_form::<Fields>(&http), None);
    }
}
