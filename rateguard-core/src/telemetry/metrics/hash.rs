//! Hashes of policy names and quotas, which find a series of metrics quickly.

/// The hash of the name of a policy.
pub(crate) fn hash(name: &str) -> u64 {
    let words = name.as_bytes().chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    words.fold(0, mix)
}

/// One step of FxHash, the hash of rustc. It does not resist chosen collisions, which would only make lookups in this
/// bounded table slower.
pub(super) fn mix(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95)
}
