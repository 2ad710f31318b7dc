//! What is counted: a key under a policy.

mod key;
mod named;
mod secret;

pub use key::Key;
pub(crate) use key::{DIGEST_BYTES, KEY_BYTES};
pub use named::Bucket;
pub(crate) use secret::KeySecret;
