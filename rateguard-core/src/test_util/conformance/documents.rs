//! The rules for the documents of a store, which [`DocumentStore`] specifies.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use super::{subject::fail, time::Time};
use crate::store::{
    Document, DocumentFuture, DocumentRead, DocumentStore, DocumentVersion, DocumentWrite,
};

const HOUR: Duration = Duration::from_secs(3_600);
const SHORT: Duration = Duration::from_millis(100);

pub(super) async fn check_all(store: &dyn DocumentStore, time: &Time) {
    let name = format!("conformance-{:016x}", RandomState::new().hash_one("document"));
    let missing = changed(store, &name, None).await;
    if missing.version != DocumentVersion::NONE || !missing.text.is_empty() {
        fail("a document that was never written is empty and has the version 0");
    }
    expect_unchanged(store, &name, DocumentVersion::NONE).await;

    let write = |expected, text, expires_at| DocumentWrite { expected, text, expires_at };
    let other = DocumentVersion::new(7);
    let of_other = store.write(&name, write(other, "lost", missing.now + HOUR));
    if result(of_other).await.is_some() {
        fail("a write does not replace a document with another version");
    }
    expect_unchanged(store, &name, DocumentVersion::NONE).await;

    let first = write(DocumentVersion::NONE, "first", missing.now + HOUR);
    let Some(first) = result(store.write(&name, first)).await else {
        fail("a write creates a document that does not exist");
    };
    expect_text(store, &name, first, "first").await;

    // This end is earlier than that of the first write.
    let second = write(first, "second\n\u{1f600}", missing.now);
    let Some(second) = result(store.write(&name, second)).await else {
        fail("a write replaces a document with the expected version");
    };
    if second == first || first == DocumentVersion::NONE {
        fail("each write gives a document a new version");
    }
    expect_text(store, &name, second, "second\n\u{1f600}").await;
    let stale = store.write(&name, write(first, "lost", missing.now + HOUR));
    if result(stale).await.is_some() {
        fail("a write does not replace a document with another version");
    }
    expect_text(store, &name, second, "second\n\u{1f600}").await;

    let name = format!("{name}-short");
    let now = changed(store, &name, None).await.now;
    let short = write(DocumentVersion::NONE, "short", now + SHORT);
    let _ = result(store.write(&name, short)).await;
    time.advance(2 * SHORT).await;
    let expired = changed(store, &name, None).await;
    if expired.version != DocumentVersion::NONE || expired.now < now + SHORT {
        fail("a document is deleted at its end on the clock of the store");
    }
}

async fn expect_text(store: &dyn DocumentStore, name: &str, version: DocumentVersion, text: &str) {
    let read = changed(store, name, None).await;
    if (read.version, &*read.text) != (version, text) {
        fail("a read returns the text and the version of the last write");
    }
    if changed(store, name, Some(DocumentVersion::NONE)).await.version != version {
        fail("a read returns the document if its version is not the last one of the client");
    }
    expect_unchanged(store, name, version).await;
}

async fn expect_unchanged(store: &dyn DocumentStore, name: &str, last: DocumentVersion) {
    if result(store.read(name, Some(last))).await != DocumentRead::Unchanged {
        fail("a read returns no document if its version is the last one of the client");
    }
}

async fn changed(store: &dyn DocumentStore, name: &str, last: Option<DocumentVersion>) -> Document {
    match result(store.read(name, last)).await {
        DocumentRead::Changed(document) => document,
        DocumentRead::Unchanged => fail("a read without a version returns the document"),
    }
}

async fn result<T>(operation: DocumentFuture<'_, T>) -> T {
    match operation.await {
        Ok(result) => result,
        Err(error) => fail(&format!("expected a reply of the store, found: {error}")),
    }
}
