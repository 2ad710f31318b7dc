//! The documents of the in-memory store.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::store::document::{Document, DocumentRead, DocumentVersion, DocumentWrite};

/// The documents of the in-memory store.
#[derive(Default)]
pub(super) struct Documents {
    state: Mutex<DocumentsState>,
}

#[derive(Default)]
struct DocumentsState {
    documents: HashMap<String, StoredDocument>,
    last_version: u64,
}

struct StoredDocument {
    version: DocumentVersion,
    text: String,
    expires_at: Duration,
}

impl Documents {
    pub(super) fn read(
        &self,
        name: &str,
        last: Option<DocumentVersion>,
        now: Duration,
    ) -> DocumentRead {
        let state = self.lock();
        let stored = state.documents.get(name).filter(|it| now < it.expires_at);
        let version = stored.map_or(DocumentVersion::NONE, |it| it.version);
        if last == Some(version) {
            return DocumentRead::Unchanged;
        }
        let text = stored.map(|it| it.text.clone()).unwrap_or_default();
        DocumentRead::Changed(Document { version, text, now })
    }

    pub(super) fn write(
        &self,
        name: &str,
        write: &DocumentWrite<'_>,
        now: Duration,
    ) -> Option<DocumentVersion> {
        let mut state = self.lock();
        let stored = state.documents.get(name).filter(|it| now < it.expires_at);
        if stored.map_or(DocumentVersion::NONE, |it| it.version) != write.expected {
            return None;
        }
        let expires_at = stored.map_or(write.expires_at, |it| it.expires_at.max(write.expires_at));
        state.last_version += 1;
        let version = DocumentVersion::new(state.last_version);
        let document = StoredDocument { version, text: write.text.to_owned(), expires_at };
        state.documents.insert(name.to_owned(), document);
        Some(version)
    }

    fn lock(&self) -> MutexGuard<'_, DocumentsState> {
        // Each change leaves the state consistent, so it is safe to use a poisoned lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
