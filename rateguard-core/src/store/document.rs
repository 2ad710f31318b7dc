//! Small documents that all processes with one store share, such as the list of overrides.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use super::StoreError;

/// Stores small documents that all clients of a store share. A guard has its overrides in such a document.
///
/// A [`Store`](super::Store) with documents returns itself from [`Store::documents`](super::Store::documents).
pub trait DocumentStore: Send + Sync {
    /// Reads the document with this name, if its version is not `last`, which is the version that the client has read
    /// last.
    ///
    /// A guard calls this method several times a second, so it should cost little if the version is the same.
    ///
    /// # Errors
    ///
    /// A [`StoreError`] if the store did not read the document.
    fn read<'a>(
        &'a self,
        name: &'a str,
        last: Option<DocumentVersion>,
    ) -> DocumentFuture<'a, DocumentRead>;

    /// Replaces the document with this name, if its version is [`expected`](DocumentWrite::expected). Returns the new
    /// version, or `None` if another client has changed the document.
    ///
    /// A new version is greater than all earlier versions of the document, also after the store has lost its data. So a
    /// client recognizes an older document, for example from a snapshot.
    ///
    /// # Errors
    ///
    /// A [`StoreError`] if the store failed. It is possible that the store has written the document.
    fn write<'a>(
        &'a self,
        name: &'a str,
        write: DocumentWrite<'a>,
    ) -> DocumentFuture<'a, Option<DocumentVersion>>;
}

/// The result of an operation on a document.
pub type DocumentFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The version of a document. A later version is greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentVersion(u64);

impl DocumentVersion {
    /// The version of a document that does not exist.
    pub const NONE: Self = Self(0);

    /// Creates a version from a number. The number 0 is [`NONE`](Self::NONE).
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for DocumentVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The result of reading a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentRead {
    /// The document still has the version that the client has read last.
    Unchanged,
    /// The document has another version, or the client has read no version yet.
    Changed(Document),
}

/// A document, or the fact that it does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The version, which is [`DocumentVersion::NONE`] if the document does not exist.
    pub version: DocumentVersion,
    /// The text. It is empty if the document does not exist.
    pub text: String,
    /// The time of the read on the clock of the store, since a moment that is the same for all clients.
    pub now: Duration,
}

/// The new content of a document.
#[derive(Clone, Copy, Debug)]
pub struct DocumentWrite<'a> {
    /// The version that the document must have. [`DocumentVersion::NONE`] if it must not exist.
    pub expected: DocumentVersion,
    /// The new text.
    pub text: &'a str,
    /// The time at which the store may delete the document, on the clock of the store. A write never moves this time
    /// to an earlier one, because a missing document means that the store has lost its data.
    pub expires_at: Duration,
}
