//! Defines a call of the script of a document or of statistics.

/// A call of a script for one document or for the statistics. The reply of the script is a list of texts.
pub(crate) struct DocumentCall {
    /// The source of the script. It is short, so that the call is one `EVAL`, which cannot fail with `NOSCRIPT`.
    pub(in crate::store) script: &'static str,
    /// The number of keys, as text.
    number_of_keys: String,
    /// The Redis keys, which all have the hash tag.
    keys: Vec<String>,
    /// The part of each key from which a cluster computes the slot.
    #[cfg_attr(not(feature = "redis"), allow(dead_code, reason = "Upstash has no slots"))]
    pub(in crate::store) hash_tag: String,
    pub(in crate::store) arguments: Vec<String>,
}

impl DocumentCall {
    /// `prefix` is the text with which all Redis keys of the store begin.
    pub(super) fn new(
        prefix: &str,
        name: &str,
        script: &'static str,
        arguments: Vec<String>,
    ) -> Self {
        // No bucket has such a key, because the tag of a bucket is a digest in hexadecimal digits.
        let keys = vec![format!("{prefix}:{{{name}}}")];
        let number_of_keys = keys.len().to_string();
        Self { script, number_of_keys, keys, hash_tag: name.to_owned(), arguments }
    }

    /// Creates a call with several keys, each of which begins with the prefix and the hash tag.
    pub(super) fn with_keys(
        prefix: &str,
        hash_tag: &str,
        keys: Vec<String>,
        script: &'static str,
        arguments: Vec<String>,
    ) -> Self {
        let keys: Vec<_> =
            keys.iter().map(|key| format!("{prefix}:{{{hash_tag}}}:{key}")).collect();
        let number_of_keys = keys.len().to_string();
        Self { script, number_of_keys, keys, hash_tag: hash_tag.to_owned(), arguments }
    }

    /// Returns the parts of the command, in order.
    pub(in crate::store) fn command(&self) -> impl Iterator<Item = &str> {
        let first = ["EVAL", self.script, &self.number_of_keys];
        let rest = self.keys.iter().chain(&self.arguments).map(String::as_str);
        first.into_iter().chain(rest)
    }
}
