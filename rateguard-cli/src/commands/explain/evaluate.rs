//! Evaluates whether a limit applies to a request, and finds the key by which it counts the request.

use actix_rateguard_core::{
    AccessList, Key, MissingKey,
    adapter::{Access, KeyNotation, KeyPart, Network, ResolvedClient},
};

use super::{
    limit::Limit,
    part_value::{Client, PartValue, part_value},
    request::RequestText,
};

/// What a limit does with a request.
#[derive(Debug)]
pub(super) enum Applies {
    /// The limit counts the request.
    Yes(Counted),
    /// The limit does not count the request, for this reason.
    No(String),
    /// The limit rejects the request without counting it, for this reason.
    Rejects(String),
    /// The text of the request, or the file, lacks what the limit needs.
    Unknown(String),
}

/// The key by which a limit counts a request.
#[derive(Debug)]
pub(super) struct Counted {
    /// The parts of the key with their values.
    pub(super) text: String,
    /// The parts as arguments of `peek`.
    pub(super) arguments: Vec<String>,
}

impl Applies {
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Yes(_) => "yes",
            Self::No(_) => "no",
            Self::Rejects(_) => "rejects",
            Self::Unknown(_) => "unknown",
        }
    }

    pub(super) fn reason(&self) -> Option<&str> {
        match self {
            Self::Yes(_) => None,
            Self::No(reason) | Self::Rejects(reason) | Self::Unknown(reason) => Some(reason),
        }
    }
}

/// Evaluates a limit in the order of a server: the addresses of the access list, the methods, the key, and the keys of
/// the access list.
pub(super) fn evaluate(
    limit: &Limit,
    request: &RequestText,
    client: Option<ResolvedClient>,
    access: &AccessList,
    ipv6_bits: u8,
) -> Applies {
    match client.map(|client| access.of_client(client)) {
        Some(Access::Allowed) => return Applies::No("`[access]` allows the address".to_owned()),
        Some(Access::Denied) => {
            return Applies::Rejects("`[access]` denies the address".to_owned());
        }
        Some(Access::Unlisted) | None => {}
    }
    let is_method = |listed: &String| {
        *listed == request.method || (request.method == "HEAD" && listed == "GET")
    };
    if !limit.methods.is_empty() && !limit.methods.iter().any(is_method) {
        return Applies::No(format!("only for {}", limit.methods.join(", ")));
    }
    let Some(notation) = &limit.key else {
        return Applies::Unknown("the program sets the key".to_owned());
    };
    let Ok(notation) = notation.parse::<KeyNotation>() else {
        return Applies::Unknown("the key has an unknown form".to_owned());
    };
    let client_values = Client { address: client.and_then(|client| client.address), ipv6_bits };
    let (mut keys, mut texts, mut arguments) = (Vec::new(), Vec::new(), Vec::new());
    for part in notation.parts() {
        match part_value(part, request, &client_values) {
            PartValue::Known { text, key } => {
                let value = match client_values.address {
                    Some(address) if matches!(part, KeyPart::Ip | KeyPart::IpNetwork(_)) => {
                        address.to_string()
                    }
                    _ => text.clone(),
                };
                let is_global = text.is_empty();
                texts.push(if is_global { part.to_string() } else { format!("{part}={text}") });
                arguments.push(if is_global {
                    part.to_string()
                } else {
                    format!("{part}={value}")
                });
                keys.push(key);
            }
            PartValue::Unknown(reason) => return Applies::Unknown(format!("`{part}`: {reason}")),
            PartValue::Missing => return without_key(limit, &part.to_string(), &client_values),
        }
    }
    let key = if let [key] = keys[..] { key } else { Key::combined(&keys) };
    let is_unreliable = || client.is_some_and(|client| client.is_unreliable_key(&key));
    match access.of_key(&key, is_unreliable) {
        Access::Allowed => Applies::No("`[access]` allows the key".to_owned()),
        Access::Denied => Applies::Rejects("`[access]` denies the key".to_owned()),
        Access::Unlisted => Applies::Yes(Counted { text: texts.join(" "), arguments }),
    }
}

/// Returns what a limit does with a request that lacks a part of its key.
fn without_key(limit: &Limit, part: &str, client: &Client) -> Applies {
    let Some(missing_key) = limit.missing_key else {
        return by_address(part, client);
    };
    match missing_key {
        MissingKey::Deny => Applies::Rejects(format!("the request has no `{part}`")),
        MissingKey::Skip => Applies::No(format!("the request has no `{part}`")),
        _ => by_address(part, client),
    }
}

fn by_address(part: &str, client: &Client) -> Applies {
    let Some(address) = client.address else {
        return Applies::Unknown(format!(
            "no `{part}`, so by the address, and the request has no `from ADDRESS`"
        ));
    };
    let network = Network::of(Some(address), client.ipv6_bits);
    Applies::Yes(Counted {
        text: format!("no_key={network}"),
        arguments: vec![format!("no_key={address}")],
    })
}
