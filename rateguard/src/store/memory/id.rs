//! Which bucket, in this process.

use crate::bucket::DIGEST_BYTES;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct BucketId {
    /// A hash of the policy's name.
    pub(super) name: u64,
    pub(super) digest: [u8; DIGEST_BYTES],
}
