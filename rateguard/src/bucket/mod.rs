//! What is counted: a key under a policy.

mod ban_record;
mod key;
mod named;
mod network;
mod secret;

pub(crate) use ban_record::BanRecord;
pub use key::Key;
pub(crate) use key::{DIGEST_BYTES, KEY_BYTES};
pub use named::Bucket;
pub(crate) use network::KeyNetwork;
pub(crate) use secret::KeySecret;
