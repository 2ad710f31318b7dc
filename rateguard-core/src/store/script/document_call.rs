//! Defines a call of the script of a document.

/// A call of a script for one document. The reply of the script is a list of texts.
pub(crate) struct DocumentCall {
    /// The source of the script. It is short, so that the call is one `EVAL`, which cannot fail with `NOSCRIPT`.
    pub(in crate::store) script: &'static str,
    /// The Redis key of the document.
    pub(in crate::store) key: String,
    /// The part of the key from which a cluster computes the slot.
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
        let key = format!("{prefix}:{{{name}}}");
        Self { script, key, hash_tag: name.to_owned(), arguments }
    }

    /// Returns the parts of the command, in order.
    pub(in crate::store) fn command(&self) -> impl Iterator<Item = &str> {
        let first = ["EVAL", self.script, "1", &self.key];
        first.into_iter().chain(self.arguments.iter().map(String::as_str))
    }
}
