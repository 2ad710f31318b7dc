//! The value of one part of a key in a request.

use actix_rateguard_core::{
    Key,
    adapter::{KeyPart, Network, part_key},
};

use super::request::RequestText;

/// The client of a request, as far as it is known.
pub(super) struct Client {
    pub(super) address: Option<std::net::IpAddr>,
    /// The number of leading bits of an IPv6 address that identify one client.
    pub(super) ipv6_bits: u8,
}

/// The value of one part of a key.
pub(super) enum PartValue {
    /// The text of the value, and the key.
    Known { text: String, key: Key },
    /// The request lacks the part.
    Missing,
    /// The text of the request cannot say the value.
    Unknown(&'static str),
}

/// Returns the value of a part in a request.
pub(super) fn part_value(part: &KeyPart, request: &RequestText, client: &Client) -> PartValue {
    let value = match part {
        KeyPart::Ip | KeyPart::IpNetwork(_) => match client.address {
            Some(address) => Some(address.to_string()),
            None => return PartValue::Unknown("the request has no `from ADDRESS`"),
        },
        KeyPart::User | KeyPart::Identity => request.user.clone(),
        KeyPart::Bearer => request.header("authorization").find_map(bearer),
        KeyPart::Header(name) => request.header(name).next().map(str::to_owned),
        KeyPart::Cookie(name) => request.header("cookie").find_map(|line| cookie(line, name)),
        KeyPart::Method => Some(request.method.clone()),
        KeyPart::Global => return PartValue::Known { text: String::new(), key: Key::global() },
        KeyPart::Path(_) | KeyPart::Route => {
            return PartValue::Unknown("the routes are in the program");
        }
        KeyPart::Session(_) => return PartValue::Unknown("the text of a request has no session"),
        KeyPart::Json(_) | KeyPart::Form(_) => {
            return PartValue::Unknown("the text of a request has no body");
        }
    };
    let Some(value) = value.filter(|value| !value.is_empty()) else { return PartValue::Missing };
    let network_of =
        |address, bits: Option<u8>| Network::of(Some(address), bits.unwrap_or(client.ipv6_bits));
    let Some(key) = part_key(part, &value, &network_of) else { return PartValue::Missing };
    let bits = if let KeyPart::IpNetwork(bits) = part { *bits } else { client.ipv6_bits };
    let text = match (part, client.address) {
        (KeyPart::Ip | KeyPart::IpNetwork(_), address) => Network::of(address, bits).to_string(),
        _ => value,
    };
    PartValue::Known { text, key }
}

fn bearer(value: &str) -> Option<String> {
    let (scheme, credential) = value.split_once([' ', '\t'])?;
    let credential = credential.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !credential.is_empty()).then(|| credential.to_owned())
}

fn cookie(line: &str, name: &str) -> Option<String> {
    let mut cookies = line.split(';').filter_map(|cookie| cookie.trim().split_once('='));
    cookies.find(|(own, _)| *own == name).map(|(_, value)| value.to_owned())
}
