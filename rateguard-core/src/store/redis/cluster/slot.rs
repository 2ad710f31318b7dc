//! Computes cluster slots, which the Redis Cluster specification calls hash slots.

/// The number of cluster slots in every Redis Cluster.
pub(super) const SLOTS: u16 = 16_384;

/// Returns the cluster slot to which all keys with this hash tag belong.
pub(in crate::store::redis) fn slot(tag: &[u8]) -> u16 {
    crc16(tag) % SLOTS
}

/// Returns the checksum CRC-16/XMODEM, which the Redis Cluster specification prescribes.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| (crc << 8) ^ TABLE[usize::from((crc >> 8) as u8 ^ byte)])
}

/// The checksum of each single byte.
const TABLE: [u16; 256] = {
    const POLYNOMIAL: u16 = 0x1021;
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ POLYNOMIAL };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

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
