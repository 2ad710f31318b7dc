//! Builds keys from the input of operators.

use std::net::IpAddr;

use actix_rateguard_grammar::{KeyNotation, KeyPart};

use actix_rateguard_core::adapter::Network;

use super::source::PartSource;
use crate::{Key, inventory::FUNCTION};

/// The values with which an operator selects a key.
pub(crate) struct OperatorKey<'a> {
    /// The key type: a notation, or [`VALUE`], [`PARTS`] or [`NO_KEY`].
    pub(crate) by: &'a str,
    pub(crate) values: &'a [String],
    pub(crate) address: Option<&'a str>,
}

/// Selects `Key::from`, as for the output of a key function: text, an address, or a tuple.
pub(crate) const VALUE: &str = "value";
/// Selects `Key::from_parts`.
pub(crate) const PARTS: &str = "parts";
/// Selects the client's address, by which a limit counts requests that lack its key.
pub(crate) const NO_KEY: &str = "no_key";

/// A function that returns the network by which limits count a client at an address. The second argument is the IPv6
/// prefix length, by default the guard's prefix length.
pub(crate) type NetworkOf<'a> = dyn Fn(IpAddr, Option<u8>) -> Network + 'a;

/// Builds the key, or returns a message for the operator.
pub(crate) fn operator_key(
    input: &OperatorKey<'_>,
    network_of: &NetworkOf<'_>,
) -> Result<Key, String> {
    let address = input.address.map(parse).transpose()?;
    match input.by {
        VALUE | FUNCTION => key_of_values(input.values, address),
        PARTS => match (input.values, address) {
            ([], _) | (_, Some(_)) => {
                Err("`by` is \"parts\": expected a list of texts in `key`, and no `address`"
                    .to_owned())
            }
            (parts, None) => Ok(Key::from_parts(parts)),
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

fn key_of_values(values: &[String], address: Option<IpAddr>) -> Result<Key, String> {
    match (values, address) {
        ([], Some(address)) => Ok(Key::from(address)),
        ([value], None) => Ok(Key::from(value)),
        (values @ [_, _] | values @ [_, _, _] | values @ [_, _, _, _], None) => {
            Ok(Key::combined(&values.iter().map(Key::from).collect::<Vec<_>>()))
        }
        (values, address) => Err(format!(
            "expected one text in `key`, a list of 2 to 4 texts, or an `address`; found {}",
            found(values.len(), address.is_some())
        )),
    }
}

/// Builds the key that a notation describes, from one value for each part, in order. `address` replaces the values of
/// address parts.
fn key_of_notation(
    notation: &str,
    values: &[String],
    address: Option<IpAddr>,
    network_of: &NetworkOf<'_>,
) -> Result<Key, String> {
    let notation: KeyNotation = notation.parse().map_err(|_| {
        format!(
            r#"`by`: expected "value", "parts", "no_key", or a key in the notation of the attribute: {}"#,
            KeyNotation::FORMS
        )
    })?;
    let sources = notation.parts().iter().map(PartSource::of).collect::<Result<Vec<_>, _>>()?;
    if matches!(sources[..], [PartSource::Global]) && values.is_empty() && address.is_none() {
        return Ok(Key::global());
    }
    let is_address = |source: &PartSource| matches!(source, PartSource::Ip(_));
    let has_address = address.is_some() && sources.iter().any(is_address);
    let expected = sources.iter().filter(|source| !(has_address && is_address(source))).count();
    if values.len() != expected || has_address != address.is_some() {
        return Err(format!(
            "expected one value in `key` for each part of `{notation}`, in order; `address` may replace the value of an address part. The notation has {}; found {}",
            pluralize(sources.len(), "part"),
            found(values.len(), address.is_some())
        ));
    }
    let (mut values, address) = (values.iter(), address.map(|it| it.to_string()));
    let keys = sources.iter().map(|source| {
        let value = address.as_ref().filter(|_| is_address(source)).or_else(|| values.next());
        value.and_then(|value| source.key_of(value, network_of)).ok_or_else(|| match source {
            PartSource::Ip(_) => {
                format!("`{}` of `{notation}`: expected an IPv4 or IPv6 address", source.part())
            }
            _ => format!("`{}` takes no value", source.part()),
        })
    });
    let keys = keys.collect::<Result<Vec<Key>, _>>()?;
    Ok(match keys[..] {
        [key] => key,
        _ => Key::combined(&keys),
    })
}

/// Describes the number of values in `key` and whether there is an `address`, for an error message.
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

/// Returns whether two notations read the same key from every request, also if their spelling differs.
pub(crate) fn are_equivalent(one: &str, other: &str, ipv6_bits: u8) -> bool {
    let parts = |notation: &str| -> Option<Vec<KeyPart>> {
        let notation: KeyNotation = notation.parse().ok()?;
        let parts = notation.parts().iter().map(|part| match PartSource::of(part).ok()? {
            PartSource::Ip(None) => Some(KeyPart::IpNetwork(ipv6_bits)),
            source => Some(source.part()),
        });
        parts.collect()
    };
    one == other || parts(one).is_some_and(|one| Some(one) == parts(other))
}

/// Returns whether a request may lack a key of this notation.
pub(crate) fn may_be_missing(notation: &str) -> bool {
    let is_always_present =
        |part: &KeyPart| matches!(part, KeyPart::Ip | KeyPart::IpNetwork(_) | KeyPart::Global);
    let notation: Result<KeyNotation, _> = notation.parse();
    !notation.is_ok_and(|notation| notation.parts().iter().all(is_always_present))
}
