//! Defines the type for the name of a policy.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use crate::word_hash::WordHasher;

/// The name of a policy. Every decision contains a name, so a name is a single pointer that can be cloned quickly.
#[derive(Clone, Debug)]
pub struct PolicyName(Arc<Name>);

#[derive(Debug)]
struct Name {
    text: Box<str>,
    /// The byte offset at which the public part of the name begins. The default name of a limit on a handler is the
    /// Rust path of the handler, and clients should receive only the last segment of the path.
    public_from: usize,
    /// The hash of the text. The hash is computed only once, so lookups are fast.
    hash: u64,
}

impl PolicyName {
    pub(crate) fn of(name: &str) -> Self {
        Self::public_from(name, 0)
    }

    pub(super) fn public_from(name: &str, public_from: usize) -> Self {
        let mut hasher = WordHasher::default();
        hasher.write(name.as_bytes());
        Self(Arc::new(Name { text: name.into(), public_from, hash: hasher.finish() }))
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Returns the part of the name that responses to clients may contain.
    pub(crate) fn public(&self) -> &str {
        self.0.text.get(self.0.public_from..).unwrap_or_default()
    }
}

/// Two names are equal if their texts are equal. The pointers are compared first, because equal names usually share
/// one pointer.
impl PartialEq for PolicyName {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.text == other.0.text
    }
}

impl Eq for PolicyName {}

impl Hash for PolicyName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;

    #[test]
    fn names_with_the_same_text_are_equal_and_have_the_same_hash() {
        let state = RandomState::new();
        let (name, same) =
            (PolicyName::of("api::search"), PolicyName::public_from("api::search", 5));
        assert_eq!(name, same);
        assert_eq!(state.hash_one(&name), state.hash_one(&same));
        assert_ne!(name, PolicyName::of("api::login"));
        assert_ne!(state.hash_one(&name), state.hash_one(PolicyName::of("api::login")));
    }
}
