//! Fast hashes of policy names and quotas, for lookups of metrics.

/// Returns the hash of a policy name.
pub(crate) fn hash(name: &str) -> u64 {
    let words = name.as_bytes().chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    words.fold(0, mix)
}

/// Adds a word to an FxHash, the hash that rustc uses. An attacker could create collisions, but they would only make
/// lookups in this small table slower.
pub(super) fn mix(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95)
}
