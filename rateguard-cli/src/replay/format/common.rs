//! Parses the common and the combined log format of Apache httpd and nginx, and the text format of Traefik.
//!
//! `127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 200 2326 "REFERER" "USER-AGENT" FURTHER FIELDS`
//! (<https://httpd.apache.org/docs/current/logs.html>). Servers escape quotes in the fields with a backslash.

use super::{
    LineError,
    address::{parse_address, set_client},
    request_line::set_request_line,
    timestamp::{parse_clf, parse_duration},
};
use crate::replay::{
    fields::ExtraFields,
    record::{LogRecord, TextField},
};

/// The length of a time in brackets.
const TIME_BYTES: usize = 28;

/// The fields that follow the status and the number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    None,
    /// The referrer and the user agent.
    Agent,
    /// A duration in milliseconds, as Traefik writes it.
    Duration,
}

/// Parses a line. `is_vhost` tells whether the line starts with the name of a virtual host.
pub(super) fn parse(
    line: &[u8],
    record: &mut LogRecord,
    extras: &ExtraFields,
    is_vhost: bool,
) -> Result<Tail, LineError> {
    let (start, time) = find_time(line).ok_or(LineError::Time)?;
    record.time = time;
    let mut before = line.get(..start).unwrap_or_default();
    if is_vhost {
        next_word(&mut before);
    }
    set_client(record, next_word(&mut before))?;
    let identity = next_word(&mut before);
    // Without this test, a log with a prefix, such as that of syslog, would have the name of a month as its client.
    if record.address.is_none() && identity != b"-" {
        return Err(LineError::Client);
    }
    // The name of a user can contain spaces.
    let user = before.trim_ascii();
    if !matches!(user, b"" | b"-" | b"\"\"") {
        record.set_text(TextField::User, user);
    }

    let rest = line.get(start + TIME_BYTES..).unwrap_or_default().trim_ascii_start();
    let (request, mut rest) = request_and_rest(rest).ok_or(LineError::RequestLine)?;
    set_request_line(record, request);
    record.status = match next_word(&mut rest) {
        b"-" => None,
        status => Some(parse_status(status).ok_or(LineError::Status)?),
    };
    next_word(&mut rest); // the number of bytes
    Ok(parse_tail(rest.trim_ascii(), record, extras))
}

/// Returns whether the line starts with the name of a virtual host, before the client.
pub(super) fn has_vhost(line: &[u8]) -> bool {
    let Some((start, _)) = find_time(line) else { return false };
    let mut before = line.get(..start).unwrap_or_default();
    let [vhost, client, ident, user] = [(); 4].map(|()| next_word(&mut before));
    // A comma belongs to a list of addresses, as in `X-Forwarded-For`.
    if vhost.ends_with(b",") {
        return false;
    }
    let is_address = str::from_utf8(client).is_ok_and(|it| parse_address(it).is_some());
    !user.is_empty() && (is_address || (client != b"-" && ident == b"-"))
}

/// Finds the time in brackets. Returns the offset of its bracket, and the time.
fn find_time(line: &[u8]) -> Option<(usize, u64)> {
    let mut from = 0;
    loop {
        let start = from + line.get(from..)?.iter().position(|byte| *byte == b'[')?;
        let text = line.get(start..start + TIME_BYTES)?;
        if let Some(time) = text.strip_prefix(b"[").and_then(|it| it.strip_suffix(b"]"))
            && let Some(time) = parse_clf(time)
        {
            return Some((start, time));
        }
        from = start + 1;
    }
}

/// Splits the request in quotes from the rest of the line. Some servers do not escape quotes in the request, so the
/// last quote of the request is the one before a status.
fn request_and_rest(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.strip_prefix(b"\"")?;
    let mut is_escaped = false;
    for (end, byte) in text.iter().enumerate() {
        match byte {
            b'\\' => is_escaped = !is_escaped,
            b'"' if !is_escaped => {
                let rest = text.get(end + 1..)?;
                let mut words = rest;
                let status = next_word(&mut words);
                if rest.starts_with(b" ") && (status == b"-" || parse_status(status).is_some()) {
                    return Some((text.get(..end)?, rest));
                }
            }
            _ => is_escaped = false,
        }
    }
    None
}

/// Splits a text in quotes from the rest.
fn quoted<'a>(text: &mut &'a [u8]) -> Option<&'a [u8]> {
    let inner = text.trim_ascii_start().strip_prefix(b"\"")?;
    let mut is_escaped = false;
    let end = inner.iter().position(|byte| {
        let is_end = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        is_end
    })?;
    *text = inner.get(end + 1..)?;
    inner.get(..end)
}

fn parse_tail(mut rest: &[u8], record: &mut LogRecord, extras: &ExtraFields) -> Tail {
    let mut tail = Tail::None;
    if let Some(referer) = quoted(&mut rest)
        && let Some(agent) = quoted(&mut rest)
    {
        tail = Tail::Agent;
        for (name, value) in [("referer", referer), ("user-agent", agent)] {
            if let Some(field) = extras.header(name).filter(|_| !matches!(value, b"" | b"-")) {
                record.set_text(field, value);
            }
        }
    }
    let last = rest.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    if let Some(millis) = last.strip_suffix(b"ms")
        && let Some(duration) = parse_duration(millis, 1e6)
    {
        tail = Tail::Duration;
        record.duration = Some(duration);
    }
    tail
}

fn parse_status(word: &[u8]) -> Option<u16> {
    match *word {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
            Some(u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0'))
        }
        _ => None,
    }
}

/// Removes the first word from the text, and returns it. Returns an empty word at the end of the text.
fn next_word<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let trimmed = text.trim_ascii_start();
    let end = trimmed.iter().position(|byte| *byte == b' ').unwrap_or(trimmed.len());
    let (word, rest) = trimmed.split_at(end);
    *text = rest;
    word
}

#[cfg(test)]
mod tests {
    use actix_rateguard_grammar::KeyPart;

    use super::*;

    const START: u64 = 971_211_336_000_000;

    fn parse_text(line: &str) -> Result<(LogRecord, Tail), LineError> {
        let mut record = LogRecord::default();
        let mut extras = ExtraFields::default();
        extras.add(&KeyPart::Header("User-Agent".to_owned()));
        let tail = parse(line.as_bytes(), &mut record, &extras, has_vhost(line.as_bytes()))?;
        Ok((record, tail))
    }

    fn texts(record: &LogRecord) -> [Option<&str>; 4] {
        let fields = [TextField::User, TextField::Method, TextField::Path, TextField::Extra(0)];
        fields.map(|field| record.text(field).map(|text| str::from_utf8(text).unwrap()))
    }

    #[test]
    fn each_variant_of_the_format_is_parsed() {
        let time = "[10/Oct/2000:13:55:36 -0700]";
        let request = "\"GET /a?b HTTP/1.0\" 200 2326";
        for (line, tail, user, agent) in [
            (format!("192.0.2.7 - frank {time} {request}"), Tail::None, Some("frank"), None),
            (format!("192.0.2.7 - - {time} {request}"), Tail::None, None, None),
            (format!("192.0.2.7 - \"\" {time} {request}"), Tail::None, None, None),
            (format!("192.0.2.7 - john doe {time} {request}"), Tail::None, Some("john doe"), None),
            (
                format!("192.0.2.7 - - {time} {request} \"-\" \"Mozilla \\\"x\\\"\""),
                Tail::Agent,
                None,
                Some("Mozilla \\\"x\\\""),
            ),
            (format!("192.0.2.7 - - {time} {request} \"-\" \"-\""), Tail::Agent, None, None),
            (
                format!("192.0.2.7 - - {time} {request} \"r\" \"agent\" \"10.0.0.1\" 0.012"),
                Tail::Agent,
                None,
                Some("agent"),
            ),
            (
                format!("shop.example:443 192.0.2.7 - ann {time} {request} \"-\" \"agent\""),
                Tail::Agent,
                Some("ann"),
                Some("agent"),
            ),
            (
                format!(
                    "192.0.2.7 - - {time} {request} \"-\" \"agent\" 7 \"router@docker\" \"http://10.0.0.2:80\" 12ms"
                ),
                Tail::Duration,
                None,
                Some("agent"),
            ),
        ] {
            let (record, found) =
                parse_text(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(found, tail, "{line}");
            assert_eq!(record.time, START, "{line}");
            assert_eq!(record.address.unwrap().to_string(), "192.0.2.7", "{line}");
            assert_eq!(record.status, Some(200), "{line}");
            assert_eq!(texts(&record), [user, Some("GET"), Some("/a"), agent], "{line}");
            assert_eq!(record.duration, (tail == Tail::Duration).then_some(12_000), "{line}");
        }
    }

    #[test]
    fn quotes_and_bytes_that_are_not_http_are_parsed() {
        let time = "[10/Oct/2000:13:55:36 -0700]";
        for (request, status, path) in [
            (r#""GET /a\"b HTTP/1.0" 404 5"#, Some(404), Some("/a\\\"b")),
            (r#""GET /a"b HTTP/1.0" 404 5"#, Some(404), Some("/a\"b")),
            (r#""GET /a\\" 404 5"#, Some(404), Some("/a\\\\")),
            (r#""\x16\x03\x01" 400 0 "-" "-""#, Some(400), None),
            (r#""-" 408 -"#, Some(408), None),
            (r#""GET /a HTTP/1.1" - -"#, None, Some("/a")),
        ] {
            let (record, _) = parse_text(&format!("2001:db8::1 - - {time} {request}")).unwrap();
            assert_eq!((record.status, texts(&record)[2]), (status, path), "{request}");
        }
    }

    #[test]
    fn malformed_line_is_an_error_with_the_reason() {
        let time = "[10/Oct/2000:13:55:36 -0700]";
        for (line, error) in [
            (String::new(), LineError::Time),
            ("192.0.2.7 - - [10/Oct/2000".to_owned(), LineError::Time),
            ("at main.rs:7".to_owned(), LineError::Time),
            (format!("{time} \"GET / HTTP/1.0\" 200 5"), LineError::Client),
            (format!("- - - {time} \"GET / HTTP/1.0\" 200 5"), LineError::Client),
            (
                format!("May 1 12:00:00 web nginx: 192.0.2.7 - - {time} \"GET / HTTP/1.0\" 200 5"),
                LineError::Client,
            ),
            (format!("192.0.2.7, 10.0.0.1 - - {time} \"GET / HTTP/1.0\" 200 5"), LineError::Client),
            (format!("192.0.2.7 - - {time}"), LineError::RequestLine),
            (format!("192.0.2.7 - - {time} \"GET / HTT"), LineError::RequestLine),
            (format!("192.0.2.7 - - {time} \"GET / HTTP/1.0\""), LineError::RequestLine),
            (format!("192.0.2.7 - - {time} \"GET / HTTP/1.0\" 20"), LineError::RequestLine),
        ] {
            assert_eq!(parse_text(&line).map(|_| ()), Err(error), "{line}");
        }
    }
}
