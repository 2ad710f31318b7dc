//! What is counted: a key under a policy.

mod key;
mod named;
mod secret;

pub(crate) use key::KEY_BYTES;
pub use key::Key;
pub use named::Bucket;
pub(crate) use secret::KeySecret;
