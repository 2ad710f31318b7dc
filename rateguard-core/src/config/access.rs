//! Parses the table `[access]`, which has the addresses and keys that are exempt from limits or always denied.

use std::{mem::take, sync::Arc};

use super::{
    diagnostics::Diagnostics,
    fields::{Located, Reader, Value, read},
    limit::key,
    values::{list, parse_with, string, table},
};
use crate::{AccessList, AccessListError, Key, key::KeyRecipe};

const FIELDS: &[(&str, Reader<AccessList>)] = &[
    ("allow_addresses", |to, value, diagnostics| {
        addresses(to, value, diagnostics, |list, it| list.allow_addresses(it))
    }),
    ("deny_addresses", |to, value, diagnostics| {
        addresses(to, value, diagnostics, |list, it| list.deny_addresses(it))
    }),
    ("allow_keys", |to, value, diagnostics| {
        *to = take(to).allow_keys(keys(value, diagnostics));
    }),
    ("deny_keys", |to, value, diagnostics| {
        *to = take(to).deny_keys(keys(value, diagnostics));
    }),
];

pub(super) fn access(value: &Value<'_>, diagnostics: &mut Diagnostics<'_>) -> AccessList {
    const EXPECTED: &str =
        "expected a table: `[access]`, with fields such as `allow_addresses = [\"10.0.0.0/8\"]`";
    let mut access = AccessList::new();
    if let Some(table) = table(value, EXPECTED, diagnostics) {
        read(&mut access, FIELDS, table, diagnostics);
    }
    access
}

fn addresses(
    to: &mut AccessList,
    value: &Value<'_>,
    diagnostics: &mut Diagnostics<'_>,
    add: fn(AccessList, [&str; 1]) -> Result<AccessList, AccessListError>,
) {
    const EXPECTED: &str =
        "expected a list of addresses in quotes, such as [\"10.0.0.1\", \"10.0.0.0/8\"]";
    for address in list(value, EXPECTED, diagnostics) {
        let list = take(to);
        let added = parse_with(address, EXPECTED, diagnostics, |address| add(list, [address]));
        // After an error, the access list is empty. This has no effect, because the whole file is rejected.
        *to = added.map(|it| it.value).unwrap_or_default();
    }
}

/// The notation and the value of a key in an access list. The value can be a secret, so no error message contains
/// the value.
#[derive(Default)]
struct ParsedKey {
    key: Option<Located<Arc<dyn KeyRecipe>>>,
    value: Option<String>,
}

const KEY_FIELDS: &[(&str, Reader<ParsedKey>)] = &[
    ("key", |to, value, diagnostics| to.key = key(value, diagnostics)),
    ("value", |to, value, diagnostics| {
        const EXPECTED: &str = "expected the value of a key in quotes, such as \"42\"";
        to.value = string(value, EXPECTED, diagnostics).map(str::to_owned);
    }),
];

fn keys(value: &Value<'_>, diagnostics: &mut Diagnostics<'_>) -> Vec<Key> {
    const EXPECTED: &str =
        "expected a list of tables, such as [{ key = \"user\", value = \"42\" }]";
    let mut keys = Vec::new();
    for item in list(value, EXPECTED, diagnostics) {
        let Some(table) = table(item, EXPECTED, diagnostics) else { continue };
        let (count, mut parsed) = (diagnostics.len(), ParsedKey::default());
        read(&mut parsed, KEY_FIELDS, table, diagnostics);
        match parsed {
            ParsedKey { key: Some(Located { value: key, location: offset }), value: Some(value) } => {
                match key.key_of(&value) {
                    Some(key) => keys.push(key),
                    None => diagnostics.add(
                        offset,
                        "expected a key of one part other than \"global\", with an address as value of an address key",
                    ),
                }
            }
            _ if diagnostics.len() > count => {}
            _ => diagnostics.add(item.span().start, EXPECTED),
        }
    }
    keys
}
