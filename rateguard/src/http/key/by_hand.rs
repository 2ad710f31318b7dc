//! The key of somebody, as an operator writes it.

use std::net::IpAddr;

use rateguard_grammar::{KeyNotation, KeyPart};

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
pub(crate) const VALUE: &str = "value";
/// What `Key::from_parts` makes of them.
pub(crate) const PARTS: &str = "parts";
/// What requests without a key are counted by: the address.
pub(crate) const NO_KEY: &str = "no_key";

/// What a client at an address is counted as, by an IPv6 network of so many bits, or as many as the guard says.
pub(crate) type CountedAs<'a> = dyn Fn(IpAddr, Option<u8>) -> Network + 'a;

/// The key, or why it cannot be one.
pub(crate) fn key_by_hand(said: &ByHand<'_>, counted_as: &CountedAs<'_>) -> Result<Key, String> {
    let address = said.address.map(parse).transpose()?;
    match said.by {
        VALUE | FUNCTION => of_values(said.values, address),
        PARTS => match (said.values, address) {
            ([], _) | (_, Some(_)) => Err("`parts` is a list of texts in `key`".to_owned()),
            (parts, None) => Ok(Key::from_parts(parts)),
        },
        NO_KEY => match (said.values, address) {
            ([], Some(address)) => Ok(counted_as(address, None).key("no key")),
            _ => Err("requests without a key are counted by `address` alone".to_owned()),
        },
        notation => of_notation(notation, said.values, address, counted_as),
    }
}

fn parse(address: &str) -> Result<IpAddr, String> {
    address.parse().map_err(|_| "`address` is an IPv4 or IPv6 address, and this is none".to_owned())
}

fn of_values(values: &[String], address: Option<IpAddr>) -> Result<Key, String> {
    match (values, address) {
        ([], Some(address)) => Ok(Key::from(address)),
        ([value], None) => Ok(Key::from(value)),
        (values @ [_, _] | values @ [_, _, _] | values @ [_, _, _, _], None) => {
            Ok(Key::combined(&values.iter().map(Key::from).collect::<Vec<_>>()))
        }
        (values, address) => Err(format!(
            "this key is one text in `key`, a list of 2 to 4, or an `address`, and there {}",
            given(values.len(), address.is_some())
        )),
    }
}

/// The values of the parts in their order; those of addresses from `address`, if it is there.
fn of_notation(
    notation: &str,
    values: &[String],
    address: Option<IpAddr>,
    counted_as: &CountedAs<'_>,
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
    let is_address = |source: &Source| matches!(source, Source::Ip(_));
    let has_address = address.is_some() && sources.iter().any(is_address);
    let of_values = sources.iter().filter(|source| !(has_address && is_address(source))).count();
    if values.len() != of_values || has_address != address.is_some() {
        return Err(format!(
            "a key by `{notation}` has a value for each part, in their order, in `key`; an address may be in `address` instead. It has {}, and there {}",
            counted(sources.len(), "part"),
            given(values.len(), address.is_some())
        ));
    }
    let (mut values, address) = (values.iter(), address.map(|it| it.to_string()));
    let keys = sources.iter().map(|source| {
        let value = address.as_ref().filter(|_| is_address(source)).or_else(|| values.next());
        value.and_then(|value| source.key_of(value, counted_as)).ok_or_else(|| match source {
            Source::Ip(_) => {
                format!(
                    "of `{notation}`, `{}` is an IPv4 or IPv6 address, and this is none",
                    source.part()
                )
            }
            _ => format!("a key by `{}` has no value", source.part()),
        })
    });
    let keys = keys.collect::<Result<Vec<Key>, _>>()?;
    Ok(match keys[..] {
        [key] => key,
        _ => Key::combined(&keys),
    })
}

/// What was given instead.
fn given(values: usize, has_address: bool) -> String {
    let also = if has_address { " and an `address`" } else { "" };
    let are = if values == 1 { "is" } else { "are" };
    format!("{are} {} in `key`{also}", counted(values, "value"))
}

fn counted(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// Whether both notations read the same of a request, however they are spelled.
pub(crate) fn are_read_alike(one: &str, other: &str, ipv6_bits: u8) -> bool {
    let parts = |notation: &str| -> Option<Vec<KeyPart>> {
        let notation: KeyNotation = notation.parse().ok()?;
        let parts = notation.parts().iter().map(|part| match Source::of(part).ok()? {
            Source::Ip(None) => Some(KeyPart::IpNetwork(ipv6_bits)),
            source => Some(source.part()),
        });
        parts.collect()
    };
    one == other || parts(one).is_some_and(|one| Some(one) == parts(other))
}

/// Whether a request may be without such a key.
pub(crate) fn may_be_missing(notation: &str) -> bool {
    let is_always_there =
        |part: &KeyPart| matches!(part, KeyPart::Ip | KeyPart::IpNetwork(_) | KeyPart::Global);
    let notation: Result<KeyNotation, _> = notation.parse();
    !notation.is_ok_and(|notation| notation.parts().iter().all(is_always_there))
}
