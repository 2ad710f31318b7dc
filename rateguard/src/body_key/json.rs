//! Reads a value in the JSON body of a request.

use std::fmt;

use actix_rateguard_grammar::JsonPointer;
use actix_web::HttpRequest;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Number, Value};

use super::{BodyFormat, BufferedBody};

/// Returns the text or number at this place of the JSON body, as text. Returns `None` if there is no such value, if it
/// is empty, or if the body is not valid JSON.
pub(crate) fn json_value(request: &HttpRequest, pointer: &JsonPointer) -> Option<String> {
    let body = BufferedBody::bytes(request, BodyFormat::Json)?;
    let value = match value_at(&body, pointer.tokens()).ok()?? {
        Value::String(text) => text,
        Value::Number(number) => number_text(&number),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    (!value.is_empty()).then_some(value)
}

/// Deserializes the body as actix-web's extractor `Json` does. Returns `None` if the body has no value of this type.
pub(crate) fn parse_json<T: DeserializeOwned>(request: &HttpRequest) -> Option<T> {
    serde_json::from_slice(&BufferedBody::bytes(request, BodyFormat::Json)?).ok()
}

/// Returns a text that is the same for all spellings of a number, such as `1`, `1.0` and `10e-1`. A handler that reads
/// a number would otherwise see the same account under several keys.
fn number_text(number: &Number) -> String {
    if let Some(number) = number.as_u64() {
        return number.to_string();
    }
    match number.as_f64() {
        // -0 and 0 are the same number.
        Some(0.0) => "0".to_owned(),
        // `Display` of an `f64` has no exponent, and no fraction for a whole number.
        Some(float) => match number.as_i64() {
            Some(number) => number.to_string(),
            None => float.to_string(),
        },
        None => number.to_string(),
    }
}

fn value_at(body: &[u8], tokens: &[String]) -> serde_json::Result<Option<Value>> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = ValueAt(tokens).deserialize(&mut json)?;
    json.end()?;
    Ok(value)
}

/// Deserializes the value to which the tokens of a pointer lead, and ignores all other values.
///
/// A handler that deserializes a `struct` ignores unknown members, and serde checks less in ignored values: for
/// example, they may be nested without a bound. So this code does not parse the whole body as a `Value`. Otherwise, a
/// client could add a member that only the handler accepts, and the request would have no key. If an object has several
/// members with one name, the last one counts, as for a handler that reads a `Value`.
struct ValueAt<'a>(&'a [String]);

impl<'de> DeserializeSeed<'de> for ValueAt<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        match self.0 {
            [] => serde::Deserialize::deserialize(json).map(Some),
            _ => json.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for ValueAt<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<String>()? {
            match self.0 {
                [token, rest @ ..] if *token == name => {
                    found = map.next_value_seed(ValueAt(rest))?
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let Some((token, rest)) = self.0.split_first() else { return Ok(None) };
        let wanted = index(token);
        let mut found = None;
        for position in 0_usize.. {
            let is_end = match wanted == Some(position) {
                true => match list.next_element_seed(ValueAt(rest))? {
                    Some(value) => {
                        found = value;
                        false
                    }
                    None => true,
                },
                false => list.next_element::<IgnoredAny>()?.is_none(),
            };
            if is_end {
                break;
            }
        }
        Ok(found)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Returns the index of an element that a token selects. An index has no leading zeros (RFC 6901, section 4).
fn index(token: &str) -> Option<usize> {
    let is_index = token.bytes().all(|byte| byte.is_ascii_digit())
        && (token == "0" || !token.starts_with('0'));
    token.parse().ok().filter(|_| is_index)
}

#[cfg(test)]
mod tests {
    use actix_web::{http::header::CONTENT_TYPE, test::TestRequest, web::Bytes};

    use super::*;

    fn value(body: &str, pointer: &str) -> Option<String> {
        let request = TestRequest::post().insert_header((CONTENT_TYPE, "application/json"));
        let request = request.to_http_request();
        BufferedBody::store(&request, Some(Bytes::from(body.to_owned())));
        json_value(&request, &pointer.parse().unwrap())
    }

    #[test]
    fn pointer_selects_texts_and_numbers() {
        let body = r#"{"email":"ann","user":{"name":"bob","a/b":"c"},"list":["x",{"id":7}],"":"empty","~":1}"#;
        for (pointer, expected) in [
            ("/email", Some("ann")),
            ("/user/name", Some("bob")),
            ("/user/a~1b", Some("c")),
            ("/list/0", Some("x")),
            ("/list/1/id", Some("7")),
            ("/", Some("empty")),
            ("/~0", Some("1")),
            ("/user", None),
            ("/list", None),
            ("/list/00", None),
            ("/list/+0", None),
            ("/list/-", None),
            ("/list/2", None),
            ("/email/0", None),
            ("/missing/name", None),
        ] {
            assert_eq!(value(body, pointer).as_deref(), expected, "{pointer}");
        }
    }

    #[test]
    fn other_values_and_invalid_documents_have_no_key() {
        for body in [
            r#"{"a":null}"#,
            r#"{"a":true}"#,
            r#"{"a":""}"#,
            r#"{"a":["x"]}"#,
            r#"["a","x"]"#,
            r#""a""#,
            "7",
            "",
            r#"{"a":"x""#,
            r#"{"a":"x"} {}"#,
            r#"{"a":"x",}"#,
            "\u{feff}{\"a\":\"x\"}",
        ] {
            assert_eq!(value(body, "/a"), None, "{body}");
        }
    }

    #[test]
    fn spellings_of_one_value_have_one_key() {
        for spelling in ["1", "1.0", "1e0", "10e-1", "\"1\"", "\"\\u0031\""] {
            assert_eq!(value(&format!("{{\"a\":{spelling}}}"), "/a").as_deref(), Some("1"));
        }
        for (spelling, expected) in [
            ("-0", "0"),
            ("-0.0", "0"),
            ("-7", "-7"),
            ("18446744073709551615", "18446744073709551615"),
            ("1.5", "1.5"),
            ("1E3", "1000"),
        ] {
            assert_eq!(value(&format!("{{\"a\":{spelling}}}"), "/a").as_deref(), Some(expected));
        }
    }

    #[test]
    fn last_of_several_members_counts() {
        assert_eq!(value(r#"{"a":"x","a":"y"}"#, "/a").as_deref(), Some("y"));
        assert_eq!(value(r#"{"a":{"b":"x"},"a":{}}"#, "/a/b"), None);
        assert_eq!(value(r#"{"a":{"b":"x"},"a":1}"#, "/a/b"), None);
        assert_eq!(value(r#"{"a":"x","\u0061":"y"}"#, "/a").as_deref(), Some("y"));
    }

    #[test]
    fn value_that_a_handler_ignores_does_not_remove_the_key() {
        #[derive(serde::Deserialize)]
        struct Login {
            a: String,
        }
        let nested = "[".repeat(500) + &"]".repeat(500);
        for ignored in [nested.as_str(), "1e999", r#""\ud800""#, "{\"a\":\"y\"}"] {
            let body = format!("{{\"ignored\":{ignored},\"a\":\"x\"}}");
            let handler: Login = serde_json::from_str(&body).unwrap();
            assert_eq!(value(&body, "/a"), Some(handler.a), "{ignored}");
        }
        let invalid = b"{\"ignored\":\"\xff\",\"a\":\"x\"}";
        let handler: Login = serde_json::from_slice(invalid).unwrap();
        let found = value_at(invalid, &["a".to_owned()]).unwrap();
        assert_eq!(found, Some(Value::String(handler.a)));
    }
}
