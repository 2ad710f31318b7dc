//! The kinds of keys that a user can name.

use std::fmt;

use actix_rateguard_core::adapter::{KeyNotation, KeyPart, KeyValue, NO_KEY};

use crate::exit::Failure;

/// What the arguments for a key name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The parts of a notation with their values. The value of `global` is empty.
    Notation(Vec<(KeyPart, String)>),
    /// The values that a key function of the program passes to `Key::from`.
    Values(Vec<KeyValue>),
    /// An address that a key function of the program passes to `Key::from`.
    Address(String),
    /// The texts that a key function of the program passes to `Key::from_parts`.
    Parts(Vec<String>),
    /// The address of a client whose requests lack the key of the limit.
    NoKey(String),
    Digest(String),
}

impl Kind {
    /// Parses the arguments of a command.
    pub(super) fn parse(texts: &[String]) -> Result<Self, Failure> {
        let mut kind: Option<Self> = None;
        for text in texts {
            let next = parse_part(text)?;
            kind = Some(match kind {
                None => next,
                Some(kind) => combine(kind, next)?,
            });
        }
        let kind = kind.ok_or_else(|| {
            expected("expected the parts of a key, such as `ip=192.0.2.7`, found none")
        })?;
        if let Self::Notation(parts) = &kind {
            // This rejects a part that occurs twice, and `global` beside other parts.
            notation(parts).parse::<KeyNotation>().map_err(expected)?;
        }
        Ok(kind)
    }
}

pub(super) fn expected(message: impl fmt::Display) -> Failure {
    Failure::usage(message).help("`rateguard peek --help` explains how to name a key")
}

fn parse_part(text: &str) -> Result<Kind, Failure> {
    if text == "global" {
        return Ok(Kind::Notation(vec![(KeyPart::Global, String::new())]));
    }
    let Some((name, value)) = text.split_once('=') else {
        return Err(expected(
            "expected a part of a key as NAME=VALUE, such as `ip=192.0.2.7`, found no `=`",
        ));
    };
    let value = value.to_owned();
    Ok(match name {
        "key" => Kind::Values(vec![KeyValue::Text(value)]),
        "number" => Kind::Values(vec![number(&value)?]),
        "address" => Kind::Address(value),
        "part" => Kind::Parts(vec![value]),
        NO_KEY => Kind::NoKey(value),
        "digest" => Kind::Digest(value),
        "global" => return Err(expected("`global` takes no value")),
        name => {
            let part = name.parse::<KeyPart>().map_err(|error| {
                expected(format!(
                    "{error}, or `key`, `number`, `address`, `part`, `no_key`, `digest`"
                ))
            })?;
            Kind::Notation(vec![(part, value)])
        }
    })
}

fn number(text: &str) -> Result<KeyValue, Failure> {
    let natural = text.parse().map(KeyValue::Natural);
    let number = natural.or_else(|_| text.parse().map(KeyValue::Whole));
    number.map_err(|_| expected("`number`: expected a whole number of up to 64 bits"))
}

fn combine(first: Kind, next: Kind) -> Result<Kind, Failure> {
    match (first, next) {
        (Kind::Notation(mut parts), Kind::Notation(next)) => {
            parts.extend(next);
            Ok(Kind::Notation(parts))
        }
        (Kind::Values(mut values), Kind::Values(next)) => {
            values.extend(next);
            Ok(Kind::Values(values))
        }
        (Kind::Parts(mut parts), Kind::Parts(next)) => {
            parts.extend(next);
            Ok(Kind::Parts(parts))
        }
        _ => Err(expected("expected parts that can form one key, found parts of different kinds")),
    }
}

pub(super) fn notation(parts: &[(KeyPart, String)]) -> String {
    parts.iter().map(|(part, _)| part.to_string()).collect::<Vec<_>>().join("+")
}

pub(super) fn is_address(part: &KeyPart) -> bool {
    matches!(part, KeyPart::Ip | KeyPart::IpNetwork(_))
}
