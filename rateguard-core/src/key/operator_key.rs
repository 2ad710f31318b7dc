//! Builds a key from the values that an operator sends.

use std::{fmt, net::IpAddr};

use actix_rateguard_grammar::{KeyNotation, KeyPart};

use super::part_key::{NetworkOf, part_key};
use crate::Key;

/// The values that an operator sends to select a key.
pub struct OperatorKey<'a> {
    /// The key type. It is a key in the notation of the macro attribute, or [`VALUE`], [`PARTS`] or [`NO_KEY`].
    pub by: &'a str,
    /// One value for each part of the key, in order. If there is an `address`, the parts for addresses have no value.
    pub values: &'a [KeyValue],
    /// The address of the client.
    pub address: Option<&'a str>,
}

/// One value that an operator sends. A key function may return text or a number, and these have different keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyValue {
    /// Text.
    Text(String),
    /// A number that is not negative.
    Natural(u64),
    /// A number that may be negative.
    Whole(i64),
}

impl KeyValue {
    fn key(&self) -> Key {
        match self {
            Self::Text(text) => Key::from(text),
            Self::Natural(number) => Key::from(*number),
            Self::Whole(number) => Key::from(*number),
        }
    }
}

/// Returns the text of the value. A key part that RateGuard reads from a request is text. So for a key notation, a
/// number is the same as its decimal text.
impl fmt::Display for KeyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Natural(number) => number.fmt(f),
            Self::Whole(number) => number.fmt(f),
        }
    }
}

/// The key type for a key that a key function creates with `Key::from` from text, a number, an address or a tuple.
pub const VALUE: &str = "value";
/// The key type for a key that a key function creates with `Key::from_parts`.
pub const PARTS: &str = "parts";
/// The key type for the client's address, by which a limit counts requests that lack the limit's key.
pub const NO_KEY: &str = "no_key";

/// Builds the key that the operator selects.
///
/// # Errors
///
/// An error message for the operator, if the values are invalid.
pub fn operator_key(input: &OperatorKey<'_>, network_of: &NetworkOf<'_>) -> Result<Key, String> {
    let address = input.address.map(parse).transpose()?;
    match input.by {
        VALUE => key_of_values(input.values, address),
        PARTS => match (input.values, address) {
            ([], _) | (_, Some(_)) => {
                Err("`by` is \"parts\": expected a list of texts in `key`, and no `address`"
                    .to_owned())
            }
            (parts, None) => Ok(Key::from_parts(parts.iter().map(ToString::to_string))),
        },
        NO_KEY => match (input.values, address) {
            ([], Some(address)) => Ok(network_of(address, None).key("no key")),
            _ => Err("`by` is \"no_key\": expected an `address`, and no `key`".to_owned()),
        },
        notation => key_of_notation(notation, input.values, address, network_of),
    }
}

fn parse(address: &str) -> Result<IpAddr, String> {
    address.parse().map_err(|_| "`address`: expected an IPv4 or IPv6 address".to_owned())
}

fn key_of_values(values: &[KeyValue], address: Option<IpAddr>) -> Result<Key, String> {
    match (values, address) {
        ([], Some(address)) => Ok(Key::from(address)),
        ([value], None) => Ok(value.key()),
        (values @ [_, _] | values @ [_, _, _] | values @ [_, _, _, _], None) => {
            Ok(Key::combined(&values.iter().map(KeyValue::key).collect::<Vec<_>>()))
        }
        (values, address) => Err(format!(
            "expected one value in `key`, a list of 2 to 4 values, or an `address`; found {}",
            found(values.len(), address.is_some())
        )),
    }
}

/// Builds a key that is given in the notation of the macro attribute. `values` contains one value for each part of
/// the key, in the order of the parts. If there is an `address`, it is the value of all address parts, and `values`
/// contains only the values of the other parts.
fn key_of_notation(
    notation: &str,
    values: &[KeyValue],
    address: Option<IpAddr>,
    network_of: &NetworkOf<'_>,
) -> Result<Key, String> {
    let notation: KeyNotation = notation.parse().map_err(|_| {
        format!(
            r#"`by`: expected "value", "parts", "no_key", or a key in the notation of the attribute: {}"#,
            KeyNotation::FORMS
        )
    })?;
    let parts = notation.parts();
    if matches!(parts, [KeyPart::Global]) && values.is_empty() && address.is_none() {
        return Ok(Key::global());
    }
    let has_address = address.is_some() && parts.iter().any(is_address);
    let expected = parts.iter().filter(|part| !(has_address && is_address(part))).count();
    if values.len() != expected || has_address != address.is_some() {
        return Err(format!(
            "expected one value in `key` for each part of `{notation}`, in order; `address` may replace the value of an address part. The notation has {}; found {}",
            pluralize(parts.len(), "part"),
            found(values.len(), address.is_some())
        ));
    }
    let mut values = values.iter().map(ToString::to_string);
    let address = address.map(|it| it.to_string());
    let keys = parts.iter().map(|part| {
        let value = address.clone().filter(|_| is_address(part)).or_else(|| values.next());
        value.and_then(|value| part_key(part, &value, network_of)).ok_or_else(|| {
            if is_address(part) {
                format!("`{part}` of `{notation}`: expected an IPv4 or IPv6 address")
            } else {
                format!("`{part}` takes no value")
            }
        })
    });
    let keys = keys.collect::<Result<Vec<Key>, _>>()?;
    Ok(match keys[..] {
        [key] => key,
        _ => Key::combined(&keys),
    })
}

fn is_address(part: &KeyPart) -> bool {
    matches!(part, KeyPart::Ip | KeyPart::IpNetwork(_))
}

/// Describes for an error message how many values the operator sent in `key`, and whether the operator sent an
/// `address`.
fn found(values: usize, has_address: bool) -> String {
    let address = if has_address { " and an `address`" } else { "" };
    format!("{} in `key`{address}", pluralize(values, "value"))
}

fn pluralize(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// Returns whether two notations describe the same key, even if their texts differ. `ipv6_bits` is the prefix length
/// of the guard for IPv6.
pub fn are_equivalent(one: &str, other: &str, ipv6_bits: u8) -> bool {
    let parts = |notation: &str| -> Option<Vec<KeyPart>> {
        let notation: KeyNotation = notation.parse().ok()?;
        let parts = notation.parts().iter().map(|part| match part {
            KeyPart::Ip => KeyPart::IpNetwork(ipv6_bits),
            KeyPart::Header(name) => KeyPart::Header(name.to_ascii_lowercase()),
            part => part.clone(),
        });
        Some(parts.collect())
    };
    one == other || parts(one).is_some_and(|one| Some(one) == parts(other))
}

/// Returns whether a request can lack the key that this notation describes.
pub fn may_be_missing(notation: &str) -> bool {
    let is_always_present = |part: &KeyPart| {
        matches!(part, KeyPart::Ip | KeyPart::IpNetwork(_) | KeyPart::Global | KeyPart::Method)
    };
    let notation: Result<KeyNotation, _> = notation.parse();
    !notation.is_ok_and(|notation| notation.parts().iter().all(is_always_present))
}
