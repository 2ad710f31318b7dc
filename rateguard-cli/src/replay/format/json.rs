//! Parses JSON lines without building a tree of their values, because a line can have hundreds of fields.

use std::{borrow::Cow, fmt, io::Write};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{LineError, json_tree::NameTree, json_values::Values};
use crate::replay::{
    fields::{ExtraFields, FieldMapping},
    record::LogRecord,
};

pub(super) struct JsonParser {
    tree: NameTree,
    values: Values,
    /// Whether the start of the request counts if a line has both its start and its end.
    counts_at_start: bool,
}

impl JsonParser {
    pub(super) fn new(
        mappings: &[FieldMapping],
        extras: &ExtraFields,
        counts_at_start: bool,
    ) -> Self {
        Self { tree: NameTree::new(mappings, extras), values: Values::default(), counts_at_start }
    }

    pub(super) fn parse(&mut self, line: &[u8], record: &mut LogRecord) -> Result<(), LineError> {
        if self.read(line).is_err() {
            let text = repaired(line).ok_or(LineError::Json)?;
            self.read(text.as_bytes()).map_err(|_| LineError::Json)?;
        }
        self.values.write_to(record, self.counts_at_start)
    }

    fn read(&mut self, line: &[u8]) -> Result<(), serde_json::Error> {
        self.values.clear();
        let mut deserializer = serde_json::Deserializer::from_slice(line);
        let root = NodeSeed {
            tree: &self.tree,
            node: NameTree::ROOT,
            values: &mut self.values,
            is_root: true,
        };
        root.deserialize(&mut deserializer)?;
        deserializer.end()
    }
}

/// Returns the line with the usual errors of servers corrected, or `None` if it has none of them. JSON is UTF-8, but
/// servers copy bytes of clients into it. Without `escape=json`, nginx writes `\x22`, which JSON does not have.
fn repaired(line: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(line);
    let has_escapes = text.contains("\\x");
    match text {
        Cow::Borrowed(_) if !has_escapes => None,
        text => Some(text.replace("\\x", "\\u00")),
    }
}

/// Reads one value of the line, and its inner values.
struct NodeSeed<'a> {
    tree: &'a NameTree,
    node: usize,
    values: &'a mut Values,
    is_root: bool,
}

impl NodeSeed<'_> {
    fn set(self, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(target) = self.tree.target(self.node) {
            self.values.set(target, write);
        }
    }

    /// Stores a value, unless the line itself is no object.
    fn scalar<E: Error>(self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), E> {
        if self.is_root {
            return Err(E::custom("expected an object"));
        }
        self.set(write);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for NodeSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NodeSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { tree, node, values, is_root } = self;
        while let Some(child) = map.next_key_seed(NameSeed { tree, node, is_root })? {
            match child {
                Some(node) => {
                    map.next_value_seed(NodeSeed { tree, node, values, is_root: false })?
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { tree, node, values, is_root } = self;
        // Caddy writes each header as a list. The first value counts, as in a request.
        if !is_root {
            seq.next_element_seed(NodeSeed { tree, node, values, is_root })?;
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        Err(A::Error::custom("expected an object"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.scalar(|to| to.extend_from_slice(text.as_bytes()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        // The result can be ignored, because a write to a vector does not fail. This applies to all numbers.
        self.scalar(|to| drop(write!(to, "{number}")))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.scalar(|to| drop(write!(to, "{number}")))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.scalar(|to| drop(write!(to, "{number}")))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.scalar(|_| ())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.scalar(|_| ())
    }
}

/// Reads the name of a field. Returns its node, or `None` if nothing reads the field.
struct NameSeed<'a> {
    tree: &'a NameTree,
    node: usize,
    is_root: bool,
}

impl<'de> DeserializeSeed<'de> for NameSeed<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        let unknown = self.is_root.then_some(NameTree::UNKNOWN);
        Ok(self.tree.child(self.node, name).or(unknown))
    }
}

#[cfg(test)]
mod tests {
    use actix_rateguard_grammar::KeyPart;

    use super::*;
    use crate::replay::record::TextField;

    fn parse(line: &str, mappings: &[&str]) -> Result<LogRecord, LineError> {
        let mappings: Vec<FieldMapping> = mappings.iter().map(|it| it.parse().unwrap()).collect();
        let mut extras = ExtraFields::default();
        extras.add(&KeyPart::Header("X-Api-Key".to_owned()));
        let mut record = LogRecord::default();
        JsonParser::new(&mappings, &extras, true).parse(line.as_bytes(), &mut record)?;
        Ok(record)
    }

    fn summary(record: &LogRecord) -> String {
        let text = |field| record.text(field).map_or("-".into(), String::from_utf8_lossy);
        let address = record.address.map_or("-".to_owned(), |it| it.to_string());
        let [user, method, path, key] =
            [TextField::User, TextField::Method, TextField::Path, TextField::Extra(0)].map(text);
        format!(
            "{} {address} {user} {method} {path} {} {key}",
            record.time,
            record.status.unwrap_or(0)
        )
    }

    #[test]
    fn names_of_usual_servers_are_read() {
        let expected = "1714564800123000 192.0.2.7 ann GET /a 401 k";
        for (line, duration) in [
            (
                r#"{"time_iso8601":"2024-05-01T12:00:00.123+00:00","remote_addr":"192.0.2.7","remote_user":"ann","request":"GET /a?b HTTP/1.1","status":401,"request_time":0.25,"http_x_api_key":"k","args":[1,{"a":null}]}"#,
                Some(250_000),
            ),
            (
                r#"{"msec":"1714564800.123","nginx":{"remote_addr":"192.0.2.7","remote_user":"ann","request_method":"GET","request_uri":"/a?b","status":"401"},"http_x_api_key":"k"}"#,
                None,
            ),
            (
                r#"{"ClientHost":"192.0.2.7","ClientUsername":"ann","DownstreamStatus":401,"Duration":2000000,"RequestMethod":"GET","RequestPath":"/a","StartUTC":"2024-05-01T12:00:00.123Z","time":"2024-05-01T14:00:00Z","request_X-Api-Key":"k"}"#,
                Some(2_000),
            ),
            (
                r#"{"level":"info","ts":1714564800.123,"request":{"remote_ip":"10.0.0.1","client_ip":"192.0.2.7","method":"GET","uri":"/a?b","headers":{"X-Api-Key":["k","l"]}},"user_id":"ann","duration":0.001,"status":401}"#,
                Some(1_000),
            ),
            (
                r#"{"@timestamp":"2024-05-01T12:00:00.123Z","client":{"ip":"192.0.2.7"},"user.name":"ann","http":{"request":{"method":"GET"},"response":{"status_code":401}},"url":{"path":"/a"},"event":{"duration":3000000},"x-api-key":"k"}"#,
                Some(3_000),
            ),
        ] {
            let record = parse(line, &[]).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(summary(&record), expected, "{line}");
            assert_eq!(record.duration, duration, "{line}");
            assert_eq!(record.is_start, line.contains("StartUTC"), "{line}");
        }
    }

    #[test]
    fn named_fields_replace_usual_names() {
        let line = r#"{"time":"2024-05-01T12:00:00Z","when":{"at":1714564801},"ip":"10.0.0.1","headers":{"xff":"192.0.2.7"},"user":"bob","uid":42,"key":"k"}"#;
        let mappings = ["time=when.at", "ip=headers.xff", "user=uid", "header:X-Api-Key=key"];
        let record = parse(line, &mappings).unwrap();
        assert_eq!(summary(&record), "1714564801000000 192.0.2.7 42 - - 0 k");
    }

    #[test]
    fn values_that_are_not_usable_hide_no_other_field() {
        for unusable in ["null", "\"-\"", "\"\"", "12", "0.25"] {
            let line = format!(r#"{{"time":{unusable},"timestamp":1714564801}}"#);
            assert_eq!(parse(&line, &[]).unwrap().time, 1_714_564_801_000_000, "{line}");
        }
        for unusable in ["null", "\"-\"", "\"\""] {
            let line = format!(
                r#"{{"user":"ann","remote_user":{unusable},"ts":1714564801,"ip":"192.0.2.7","remote_addr":{unusable}}}"#
            );
            assert_eq!(
                summary(&parse(&line, &[]).unwrap()),
                "1714564801000000 192.0.2.7 ann - - 0 -"
            );
        }
        assert_eq!(parse(r#"{"time":12}"#, &[]).map(|_| ()), Err(LineError::JsonTime));
    }

    #[test]
    fn start_or_end_counts_if_a_line_has_both() {
        let line = br#"{"StartUTC":"2024-05-01T12:00:00Z","time":"2024-05-01T12:00:02Z"}"#;
        for (counts_at_start, time) in [(true, 1_714_564_800), (false, 1_714_564_802)] {
            let mut record = LogRecord::default();
            let mut parser = JsonParser::new(&[], &ExtraFields::default(), counts_at_start);
            parser.parse(line, &mut record).unwrap();
            assert_eq!((record.time, record.is_start), (time * 1_000_000, counts_at_start));
        }
    }

    #[test]
    fn malformed_line_is_an_error_with_the_reason() {
        for (line, error) in [
            ("", LineError::Json),
            ("{", LineError::Json),
            ("[]", LineError::Json),
            ("[{\"time\":1714564800}]", LineError::Json),
            ("1714564800", LineError::Json),
            ("{\"time\":1714564800} x", LineError::Json),
            ("{\"ip\":\"192.0.2.7\"}", LineError::JsonTime),
            ("{\"time\":null,\"ip\":\"192.0.2.7\"}", LineError::JsonTime),
            ("{\"time\":-5,\"ip\":\"192.0.2.7\"}", LineError::JsonTime),
            ("{\"time\":1714564800,\"ip\":\"192.0.2.7, 10.0.0.1\"}", LineError::JsonClient),
        ] {
            assert_eq!(parse(line, &[]).map(|_| ()), Err(error), "{line}");
        }
        let deep = "{\"a\":".repeat(100_000);
        assert_eq!(parse(&deep, &[]).map(|_| ()), Err(LineError::Json));
    }

    #[test]
    fn invalid_utf8_is_replaced() {
        let mut extras = ExtraFields::default();
        extras.add(&KeyPart::Header("x".to_owned()));
        let mut record = LogRecord::default();
        let line = b"{\"time\":1714564800,\"ip\":\"192.0.2.7\",\"user\":\"a\xff\"}";
        JsonParser::new(&[], &extras, true).parse(line, &mut record).unwrap();
        assert_eq!(record.text(TextField::User), Some("a\u{fffd}".as_bytes()));
    }

    #[test]
    fn escapes_of_nginx_are_read() {
        let line =
            r#"{"msec":1714564800,"remote_addr":"192.0.2.7","request":"GET /a\x22b HTTP/1.1"}"#;
        let record = parse(line, &[]).unwrap();
        assert_eq!(record.text(TextField::Path), Some(&b"/a\"b"[..]));
    }
}
