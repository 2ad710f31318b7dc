//! The key of somebody, as an operator writes it.

use std::net::IpAddr;

use rateguard_grammar::KeyNotation;

use super::source::Source;
use crate::{Key, client::Network, http::inventory::FUNCTION};

/// What an operator says of a key.
pub(crate) struct ByHand<'a> {
    /// How it is read from requests: a notation, or [`VALUE`], [`PARTS`] or [`NO_KEY`].
    pub(crate) by: &'a str,
    pub(crate) values: &'a [String],
    pub(crate) address: Option<&'a str>,
}

/// What `Key::from` makes of the values, as of what a key function returns: text, an address, a tuple of them.
const VALUE: &str = "value";
/// What `Key::from_parts` makes of them.
const PARTS: &str = "parts";
/// What requests without a key are counted by: the address.
const NO_KEY: &str = "no_key";

/// The key, or why it cannot be one.
pub(crate) fn key_by_hand(said: &ByHand<'_>, ipv6_bits: u8) -> Result<Key, String> {
    let address = said.address.map(parse).transpose()?;
    match said.by {
        VALUE | FUNCTION => of_values(said.values, address),
        PARTS => match (said.values, address) {
            ([], _) | (_, Some(_)) => Err("`parts` is a list of texts in `key`".to_owned()),
            (parts, None) => Ok(Key::from_parts(parts)),
        },
        NO_KEY => match (said.values, address) {
            ([], Some(address)) => Ok(Network::of(Some(address), ipv6_bits).key("no key")),
            _ => Err("requests without a key are counted by `address` alone".to_owned()),
        },
        notation => of_notation(notation, said.values, address, ipv6_bits),
    }
}

fn parse(address: &str) -> Result<IpAddr, String> {
    address.parse().map_err(|_| "`address` is an IPv4 or IPv6 address".to_owned())
}

fn of_values(values: &[String], address: Option<IpAddr>) -> Result<Key, String> {
    match (values, address) {
        ([], Some(address)) => Ok(Key::from(address)),
        ([value], None) => Ok(Key::from(value)),
        (values @ [_, _] | values @ [_, _, _] | values @ [_, _, _, _], None) => {
            Ok(Key::combined(&values.iter().map(Key::from).collect::<Vec<_>>()))
        }
        _ => Err("this key is one text in `key`, a list of 2 to 4, or an `address`".to_owned()),
    }
}

/// The values of the parts in their order; those of addresses from `address`, if it is there.
fn of_notation(
    notation: &str,
    values: &[String],
    address: Option<IpAddr>,
    ipv6_bits: u8,
) -> Result<Key, String> {
    let notation: KeyNotation = notation.parse().map_err(|_| {
        format!(
            r#"`by` is "value", "parts", "no_key", or a key as the attribute writes it: {}"#,
            KeyNotation::FORMS
        )
    })?;
    let sources = notation.parts().iter().map(Source::of).collect::<Result<Vec<_>, _>>()?;
    if matches!(sources[..], [Source::Global]) && values.is_empty() && address.is_none() {
        return Ok(Key::global());
    }
    let (mut values, address) = (values.iter(), address.map(|it| it.to_string()));
    let mut has_used_address = false;
    let keys = sources.iter().map(|source| {
        let value = match (source, &address) {
            (Source::Ip(_), Some(address)) => {
                has_used_address = true;
                Some(address)
            }
            _ => values.next(),
        };
        source.key_of(value?, ipv6_bits)
    });
    let keys: Option<Vec<Key>> = keys.collect();
    let is_all_used = values.next().is_none() && has_used_address == address.is_some();
    match keys.filter(|_| is_all_used).as_deref() {
        Some([key]) => Ok(*key),
        Some(keys) => Ok(Key::combined(keys)),
        None => Err(format!(
            "a key by `{notation}` has a value for each part, in their order, in `key`; an address may be in `address` instead"
        )),
    }
}
