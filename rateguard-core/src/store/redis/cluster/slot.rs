//! Computes cluster slots, which the Redis Cluster specification calls hash slots.

use crc::{CRC_16_XMODEM, Crc};

/// The number of cluster slots in every Redis Cluster.
pub(super) const SLOTS: u16 = 16_384;

/// Returns the cluster slot to which all keys with this hash tag belong.
pub(in crate::store::redis) fn slot(tag: &[u8]) -> u16 {
    const HASH: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);
    HASH.checksum(tag) % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_match_redis() {
        // The expected value for `123456789` is from the specification. The expected value for `foo` is the reply of
        // Redis to `CLUSTER KEYSLOT foo`.
        for (tag, expected) in [("123456789", 0x31c3), ("foo", 12_182)] {
            assert_eq!(slot(tag.as_bytes()), expected, "{tag}");
        }
    }
}
