//! Computes cluster slots (hash slots in the Redis Cluster specification).

use crc::{CRC_16_XMODEM, Crc};

/// The number of cluster slots.
pub(super) const SLOTS: u16 = 16_384;

/// Returns the cluster slot of all keys with this hash tag.
pub(in crate::store::redis) fn slot(tag: &[u8]) -> u16 {
    const HASH: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);
    HASH.checksum(tag) % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_match_redis() {
        // The first value is from the specification. The second value is the reply of Redis to `CLUSTER KEYSLOT foo`.
        for (tag, expected) in [("123456789", 0x31c3), ("foo", 12_182)] {
            assert_eq!(slot(tag.as_bytes()), expected, "{tag}");
        }
    }
}
