//! Defines keys, and the buckets in which a store counts the requests of a key.

mod ban_record;
mod bucket;
#[allow(clippy::module_inception, reason = "the folder is the table of contents")]
mod key;
mod network;
mod operator_key;
mod part_key;
#[cfg(feature = "config")]
mod plain_recipe;
mod recipe;
mod secret;

pub(crate) use ban_record::BanRecord;
pub use bucket::Bucket;
pub use key::Key;
pub(crate) use key::{DIGEST_BYTES, KEY_BYTES};
pub(crate) use network::KeyNetwork;
pub use operator_key::{
    KeyValue, NO_KEY, OperatorKey, PARTS, VALUE, are_equivalent, may_be_missing, operator_key,
};
pub use part_key::{NetworkOf, part_key};
#[cfg(feature = "config")]
pub(crate) use plain_recipe::plain_recipe;
pub use recipe::{KeyRecipe, KeyRecipes};
pub use secret::KeySecret;
