//! Defines buckets and their names in a store. A bucket is the count of one key under one quota.

use super::key::{DIGEST_BYTES, Key};

/// Identifies one count in a store. A store has a separate count for each key under each quota of a policy.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bucket<'a> {
    name: &'a str,
    index: usize,
    key: &'a Key,
}

impl<'a> Bucket<'a> {
    /// Creates the bucket for a key and one quota of a policy. `name` is the name of the policy, and `index` is the
    /// index of the quota in the policy, from 0.
    #[must_use]
    pub fn new(name: &'a str, index: usize, key: &'a Key) -> Self {
        Self { name, index, key }
    }

    /// Returns the name of the policy.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Returns the index of the quota in the policy, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns the digest of the key. The digest has 128 bits and is the same on every application server.
    #[must_use]
    pub fn digest(&self) -> [u8; DIGEST_BYTES] {
        self.key.digest()
    }

    pub(crate) fn key(&self) -> &'a Key {
        self.key
    }

    /// Returns the name of the bucket in a store. The name is `prefix:{digest}:name` for the first quota of a policy,
    /// `prefix:{digest}:name{2}` for the second quota, and so on.
    ///
    /// Redis Cluster computes the cluster slot from the text in the first braces, so all buckets of one key are in
    /// one slot. Prefixes and policy names cannot contain braces, so different buckets have different names.
    #[must_use]
    pub fn storage_key(&self, prefix: &str) -> String {
        use std::fmt::Write;

        let mut key = String::with_capacity(prefix.len() + self.name.len() + 2 * DIGEST_BYTES + 8);
        let tag = self.hash_tag();
        // Hexadecimal digits are valid UTF-8, so the conversion never fails.
        let tag = str::from_utf8(&tag).unwrap_or_default();
        key.extend([prefix, ":{", tag, "}:", self.name]);
        if self.index > 0 {
            // A write into a `String` never fails.
            let _ = write!(key, "{{{}}}", self.index + 1);
        }
        key
    }

    /// Returns the hash tag, which is the part of the name from which Redis Cluster computes the slot. It is the
    /// digest in hexadecimal.
    pub(crate) fn hash_tag(&self) -> [u8; 2 * DIGEST_BYTES] {
        let mut tag = [0; 2 * DIGEST_BYTES];
        for (digits, byte) in tag.as_chunks_mut::<2>().0.iter_mut().zip(self.digest()) {
            *digits = [byte >> 4, byte & 0xf].map(|digit| b"0123456789abcdef"[usize::from(digit)]);
        }
        tag
    }
}

impl std::fmt::Debug for Bucket<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bucket")
            .field("name", &self.name)
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_key_has_constant_length_and_one_hash_tag() {
        for value in ["", "x", "{tag}", &"long".repeat(40_000)] {
            let key = Key::from(value);
            let name = Bucket::new("login", 0, &key).storage_key("app");
            assert_eq!(name.len(), "app:{}:login".len() + 32);
            assert_eq!(name.matches(['{', '}']).count(), 2);
            assert_eq!(Bucket::new("login", 1, &key).storage_key("app"), name + "{2}");
        }
    }
}
