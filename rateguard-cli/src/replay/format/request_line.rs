//! Splits a request line, such as `GET /search?q=a HTTP/1.1`, and removes the query from a path.

use crate::replay::record::{LogRecord, TextField};

/// Stores the method and the path of a request line. A request line that is not HTTP, such as the bytes of a TLS
/// handshake, has neither.
pub(super) fn set_request_line(record: &mut LogRecord, line: &[u8]) {
    let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return };
    let is_method = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    if method.iter().all(is_method) {
        record.set_text(TextField::Method, method);
        set_path(record, target);
    }
}

/// Stores the path of a request target: without the query, and without the host of an absolute URL.
pub(super) fn set_path(record: &mut LogRecord, target: &[u8]) {
    let end = target.iter().position(|byte| b"?#".contains(byte)).unwrap_or(target.len());
    let target = target.get(..end).unwrap_or(target);
    let scheme =
        target.windows(3).position(|it| it == b"://").filter(|_| !target.starts_with(b"/"));
    let path = match scheme.and_then(|scheme| target.get(scheme + 3..)) {
        Some(rest) => match rest.iter().position(|byte| *byte == b'/') {
            Some(start) => rest.get(start..).unwrap_or(b"/"),
            None => b"/",
        },
        None => target,
    };
    record.set_text(TextField::Path, path);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn method_and_path_are_split() {
        for (line, method, path) in [
            ("GET /search?q=a HTTP/1.1", Some("GET"), Some("/search")),
            ("GET / HTTP/2.0", Some("GET"), Some("/")),
            ("GET /a", Some("GET"), Some("/a")),
            ("GET http://shop.example/a?b HTTP/1.1", Some("GET"), Some("/a")),
            ("GET https://shop.example HTTP/1.1", Some("GET"), Some("/")),
            ("GET /a?to=http://b/c HTTP/1.1", Some("GET"), Some("/a")),
            ("OPTIONS * HTTP/1.1", Some("OPTIONS"), Some("*")),
            ("-", None, None),
            ("", None, None),
            ("\\x16\\x03\\x01 x", None, None),
        ] {
            let mut record = LogRecord::default();
            set_request_line(&mut record, line.as_bytes());
            let text = |field| record.text(field).map(|it| str::from_utf8(it).unwrap());
            assert_eq!((text(TextField::Method), text(TextField::Path)), (method, path), "{line}");
        }
    }
}
