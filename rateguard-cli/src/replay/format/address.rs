//! Parses the client of a request: an address, an address with a port, or the name of a host.

use std::net::{IpAddr, SocketAddr};

use super::LineError;
use crate::replay::record::{LogRecord, TextField};

/// Stores the client in the record.
///
/// # Errors
///
/// [`LineError::Client`] if the text is neither an address nor the name of a host.
pub(super) fn set_client(record: &mut LogRecord, text: &[u8]) -> Result<(), LineError> {
    if let Ok(text) = str::from_utf8(text)
        && let Some(address) = parse_address(text)
    {
        record.address = Some(address);
        return Ok(());
    }
    // A list of addresses, as in `X-Forwarded-For`, does not say which of them is the client.
    let is_host_byte = |byte: &u8| byte.is_ascii_graphic() && *byte != b',';
    if text.is_empty() || text == b"-" || text.len() > 255 || !text.iter().all(is_host_byte) {
        return Err(LineError::Client);
    }
    record.set_text(TextField::Host, text);
    Ok(())
}

pub(super) fn parse_address(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address);
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address.ip());
    }
    let inner = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(text);
    // The name of an interface has a meaning only on one host.
    let (address, _) = inner.split_once('%').unwrap_or((inner, ""));
    address.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_hosts_are_clients() {
        for (text, expected) in [
            ("192.0.2.7", Some("192.0.2.7")),
            ("192.0.2.7:4711", Some("192.0.2.7")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]:443", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("fe80::1%eth0", Some("fe80::1")),
            ("unicomp6.unicomp.net", None),
        ] {
            let mut record = LogRecord::default();
            set_client(&mut record, text.as_bytes()).unwrap();
            assert_eq!(record.address.map(|it| it.to_string()).as_deref(), expected, "{text}");
            assert_eq!(record.text(TextField::Host).is_some(), expected.is_none(), "{text}");
        }
        for text in ["", "-", "192.0.2.7,10.0.0.1", "a b", "\u{202e}host"] {
            assert!(set_client(&mut LogRecord::default(), text.as_bytes()).is_err(), "{text}");
        }
    }
}
