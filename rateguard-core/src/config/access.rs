//! `[access]`: who is never limited, and who is always refused.

use std::{mem::take, sync::Arc};

use super::{
    fields::{At, Reader, Value, read},
    limit::key,
    mistakes::Diagnostics,
    values::{list, made, table, text},
};
use crate::{AccessList, AccessListError, Key, key::KeyRecipe};

const FIELDS: &[(&str, Reader<AccessList>)] = &[
    ("allow_addresses", |to, it, wrong| {
        addresses(to, it, wrong, |list, it| list.allow_addresses(it))
    }),
    ("deny_addresses", |to, it, wrong| {
        addresses(to, it, wrong, |list, it| list.deny_addresses(it))
    }),
    ("allow_keys", |to, it, wrong| *to = take(to).allow_keys(keys(it, wrong))),
    ("deny_keys", |to, it, wrong| *to = take(to).deny_keys(keys(it, wrong))),
];

pub(super) fn access(value: &Value<'_>, mistakes: &mut Diagnostics<'_>) -> AccessList {
    const FORM: &str =
        "this is a table: `[access]`, with `allow_addresses = [\"10.0.0.0/8\"]` below, for example";
    let mut access = AccessList::new();
    if let Some(table) = table(value, FORM, mistakes) {
        read(&mut access, FIELDS, table, mistakes);
    }
    access
}

fn addresses(
    to: &mut AccessList,
    value: &Value<'_>,
    mistakes: &mut Diagnostics<'_>,
    add: fn(AccessList, [&str; 1]) -> Result<AccessList, AccessListError>,
) {
    const FORM: &str = "addresses are a list of text, such as [\"10.0.0.1\", \"10.0.0.0/8\"]";
    for address in list(value, FORM, mistakes) {
        // If it is not legal, the whole file is not.
        let list = take(to);
        let added = made(address, FORM, mistakes, |address| add(list, [address]));
        *to = added.map(|it| it.value).unwrap_or_default();
    }
}

/// A key and its value for somebody. That is never shown, as it may be a secret.
#[derive(Default)]
struct ParsedKey {
    key: Option<At<Arc<dyn KeyRecipe>>>,
    value: Option<String>,
}

const KEY_FIELDS: &[(&str, Reader<ParsedKey>)] = &[
    ("key", |to, it, wrong| to.key = key(it, wrong)),
    ("value", |to, it, wrong| {
        to.value =
            text(it, "a key's value is text in quotes, such as \"42\"", wrong).map(str::to_owned);
    }),
];

fn keys(value: &Value<'_>, mistakes: &mut Diagnostics<'_>) -> Vec<Key> {
    const FORM: &str = "keys are a list of tables, such as [{ key = \"user\", value = \"42\" }]";
    let mut keys = Vec::new();
    for somebody in list(value, FORM, mistakes) {
        let Some(table) = table(somebody, FORM, mistakes) else { continue };
        let (earlier, mut written) = (mistakes.len(), ParsedKey::default());
        read(&mut written, KEY_FIELDS, table, mistakes);
        match written {
            ParsedKey { key: Some(At { value: key, at }), value: Some(value) } => {
                match key.key_of(&value) {
                    Some(key) => keys.push(key),
                    None => mistakes.add(
                        at,
                        "nobody has such a key by this value: it is \"global\" or has several parts, or should be an address and is none",
                    ),
                }
            }
            _ if mistakes.len() > earlier => {}
            _ => mistakes.add(somebody.span().start, FORM),
        }
    }
    keys
}
