//! Creates keys for a program without HTTP. Such a program may use the same policies file as a web application.

use std::sync::Arc;

use actix_rateguard_grammar::KeyNotation;

use super::{KeyRecipe, part_key};
use crate::{Key, client_address::Network};

/// The default number of leading bits of an IPv6 address that identify one client.
const DEFAULT_IPV6_BITS: u8 = 64;

/// A key recipe for a program without HTTP. It creates only the keys of an access list, because the program has no
/// HTTP requests from which it could read keys.
#[derive(Debug)]
struct PlainRecipe(KeyNotation);

/// Creates a key recipe for a program without HTTP.
pub(crate) fn plain_recipe(notation: &KeyNotation) -> Result<Arc<dyn KeyRecipe>, String> {
    Ok(Arc::new(PlainRecipe(notation.clone())))
}

impl KeyRecipe for PlainRecipe {
    fn notation(&self) -> String {
        self.0.to_string()
    }

    fn key_of(&self, value: &str) -> Option<Key> {
        let [part] = self.0.parts() else { return None };
        part_key(part, value, &|address, bits| {
            Network::of(Some(address), bits.unwrap_or(DEFAULT_IPV6_BITS))
        })
    }
}
