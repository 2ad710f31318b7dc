//! The key of a client, which the user names by its readable parts.

use std::{fmt, net::IpAddr};

use actix_rateguard_core::{
    Key, RateGuard,
    adapter::{
        KeyNotation, KeyPart, KeyValue, NO_KEY, NetworkOf, OperatorKey, PARTS, VALUE, operator_key,
    },
};
use serde_json::{Value, json};

use super::key_kind::{Kind, expected, is_address, notation};
use crate::exit::Failure;

/// The help text of an argument with a key.
pub(crate) const KEY_HELP: &str = "\
Keys:
  Name each part of the limit's key with its value, in any order: `user=42 ip=192.0.2.7`.
  ip, ip/56, user, identity, session:NAME, bearer, header:NAME, cookie:NAME, path:NAME,
  json:/POINTER, form:NAME, route, method
                   a part of a key, as in the attribute
  global           the key that all requests share
  no_key=ADDRESS   a client whose requests lack the key of the limit
  key=TEXT, number=7, address=ADDRESS
                   a key that the program creates with `Key::from`; several values are a tuple
  part=TEXT        a key that the program creates with `Key::from_parts`; one for each part
  digest=HEX       the digest of a key, as in `override list` and `top`";

/// The key of a client, as the user writes it.
#[derive(Debug)]
pub(crate) struct KeyValues {
    /// The texts of the user.
    texts: Vec<String>,
    kind: Kind,
}

/// The values of a key in the order of a limit's key.
pub(crate) struct SelectedKey {
    by: String,
    values: Vec<KeyValue>,
    address: Option<String>,
}

impl fmt::Display for KeyValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.texts.join(" "))
    }
}

impl KeyValues {
    /// Parses the arguments of a command.
    pub(crate) fn parse(texts: &[String]) -> Result<Self, Failure> {
        let kind = Kind::parse(texts)?;
        Ok(Self { texts: texts.to_vec(), kind })
    }

    /// Returns the address of the client, if it is a part of the key.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.select(&[]).address?.parse().ok()
    }

    /// Returns the values in the order of the limit's key. `limit_keys` are the keys of the limits with the name of
    /// the policy. If none of them has the parts of this key, the order is that of the user.
    pub(crate) fn select(&self, limit_keys: &[&str]) -> SelectedKey {
        let selected = |by: &str, values: Vec<KeyValue>, address: Option<&String>| SelectedKey {
            by: by.to_owned(),
            values,
            address: address.cloned(),
        };
        match &self.kind {
            Kind::Values(values) => selected(VALUE, values.clone(), None),
            Kind::Address(address) => selected(VALUE, Vec::new(), Some(address)),
            Kind::Parts(parts) => {
                selected(PARTS, parts.iter().cloned().map(KeyValue::Text).collect(), None)
            }
            Kind::NoKey(address) => selected(NO_KEY, Vec::new(), Some(address)),
            Kind::Digest(_) => selected(VALUE, Vec::new(), None),
            Kind::Notation(parts) => {
                let ordered = limit_keys.iter().find_map(|key| Some((*key, in_order(parts, key)?)));
                let own =
                    || (parts.iter().map(|(_, value)| value.clone()).collect(), notation(parts));
                let (values, by) =
                    ordered.map_or_else(own, |(key, values)| (values, key.to_owned()));
                let address =
                    parts.iter().find(|(part, _)| is_address(part)).map(|(_, value)| value);
                let has_value = |text: &String| !text.is_empty() || by != "global";
                let by_parts: Vec<KeyPart> =
                    by.parse::<KeyNotation>().map_or(Vec::new(), |it| it.parts().to_vec());
                let texts = values.into_iter().zip(by_parts).filter(|(_, part)| !is_address(part));
                let texts = texts.map(|(value, _)| value).filter(has_value);
                selected(&by, texts.map(KeyValue::Text).collect(), address)
            }
        }
    }

    /// Returns the body with which a request to the operator endpoints selects the key. `limit_keys` as in
    /// [`select`](Self::select).
    pub(crate) fn selector(&self, policy: &str, limit_keys: &[&str]) -> Value {
        if let Kind::Digest(digest) = &self.kind {
            return json!({ "policy": policy, "key_digest": digest });
        }
        let SelectedKey { by, values, address } = self.select(limit_keys);
        let values: Vec<Value> = values.iter().map(json_value).collect();
        let mut body = json!({ "policy": policy, "by": by });
        if !values.is_empty() {
            body["key"] = values.into();
        }
        if let Some(address) = address {
            body["address"] = address.into();
        }
        body
    }

    /// Returns the key. `limit_key` is the key of the policy in the policies file.
    pub(super) fn key(
        &self,
        limit_key: Option<&str>,
        network_of: &NetworkOf<'_>,
        guard: &RateGuard,
    ) -> Result<Key, Failure> {
        if let Kind::Digest(text) = &self.kind {
            let is_digest = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            let digest = is_digest.then(|| u128::from_str_radix(text, 16).ok()).flatten();
            let key = digest.and_then(|digest| guard.key_of_digest(digest.to_be_bytes()));
            return key.ok_or_else(|| expected("`digest`: expected 32 hexadecimal digits"));
        }
        let SelectedKey { by, values, address } = self.select(limit_key.as_slice());
        let input = OperatorKey { by: &by, values: &values, address: address.as_deref() };
        operator_key(&input, network_of).map_err(expected)
    }
}

/// Returns the values in the order of a limit's key; `None` if the key has other parts.
fn in_order(parts: &[(KeyPart, String)], limit_key: &str) -> Option<Vec<String>> {
    let key: KeyNotation = limit_key.parse().ok()?;
    if key.parts().len() != parts.len() {
        return None;
    }
    let value = |part: &KeyPart| {
        let is_same = |own: &KeyPart| match (own, part) {
            // The limit says how many bits of the address identify a client.
            (KeyPart::Ip, part) => is_address(part),
            (KeyPart::Header(own), KeyPart::Header(name)) => own.eq_ignore_ascii_case(name),
            (own, part) => own == part,
        };
        parts.iter().find(|(own, _)| is_same(own)).map(|(_, value)| value.clone())
    };
    key.parts().iter().map(value).collect()
}

fn json_value(value: &KeyValue) -> Value {
    match value {
        KeyValue::Text(text) => text.clone().into(),
        KeyValue::Natural(number) => (*number).into(),
        KeyValue::Whole(number) => (*number).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(texts: &[&str]) -> Result<KeyValues, String> {
        let texts: Vec<String> = texts.iter().map(|it| (*it).to_owned()).collect();
        KeyValues::parse(&texts).map_err(|failure| failure.message.unwrap_or_default())
    }

    #[test]
    fn values_follow_the_order_of_the_limit() {
        let key = parse(&["ip=192.0.2.7", "header:x-plan=pro", "user=42"]).unwrap();
        assert_eq!(
            key.selector("search", &["ip", "user+ip/56+header:X-Plan"]),
            json!({ "policy": "search", "by": "user+ip/56+header:X-Plan", "key": ["42", "pro"], "address": "192.0.2.7" })
        );
        assert_eq!(
            key.selector("search", &["user"]),
            json!({ "policy": "search", "by": "ip+header:x-plan+user", "key": ["pro", "42"], "address": "192.0.2.7" })
        );
    }

    #[test]
    fn every_kind_of_key_has_its_selector() {
        for (texts, expected) in [
            (&["global"][..], json!({ "policy": "p", "by": "global" })),
            (&["key=a", "number=7"], json!({ "policy": "p", "by": "value", "key": ["a", 7] })),
            (&["number=-7"], json!({ "policy": "p", "by": "value", "key": [-7] })),
            (&["address=::1"], json!({ "policy": "p", "by": "value", "address": "::1" })),
            (&["part=a", "part=b"], json!({ "policy": "p", "by": "parts", "key": ["a", "b"] })),
            (&["no_key=::1"], json!({ "policy": "p", "by": "no_key", "address": "::1" })),
            (&["digest=ab"], json!({ "policy": "p", "key_digest": "ab" })),
            (&["user="], json!({ "policy": "p", "by": "user", "key": [""] })),
        ] {
            assert_eq!(parse(texts).unwrap().selector("p", &[]), expected, "{texts:?}");
        }
    }

    #[test]
    fn parts_of_different_kinds_are_rejected() {
        for texts in [
            &[][..],
            &["42"],
            &["global=1"],
            &["user=1", "key=1"],
            &["user=1", "user=2"],
            &["global", "user=1"],
            &["number=x"],
            &["usr=1"],
        ] {
            assert!(parse(texts).is_err(), "{texts:?}");
        }
        let error = parse(&["usr=1"]).unwrap_err();
        assert!(error.starts_with("unknown key `usr`; did you mean `user`?"), "{error}");
    }
}
