//! Reads the overrides in the background. They stay in effect while the store does not answer.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    OverrideError,
    document::{self, StoredOverride},
    table::LastDocument,
};
use crate::{
    StoreError,
    guard::{RateGuard, Shared, ThrottledLog, failure_log::server_suffix},
    store::{
        Document, DocumentFuture, DocumentRead, DocumentStore, DocumentVersion, DocumentWrite,
    },
};

/// The pause between two reads. With the duration of a typical read, it is less than 250 ms, so a change reaches every
/// process within 250 ms. A cached denial has the same lifetime.
const REFRESH_INTERVAL: Duration = Duration::from_millis(150);

/// The time after which a process reads the document again although its version is the same, so that clocks of
/// different rates have little effect on the end of an override.
const RESYNC_INTERVAL: Duration = Duration::from_secs(60);

/// The time for which the document exists after the end of its last override.
const EXPIRY_GRACE: Duration = Duration::from_secs(1);

impl RateGuard {
    /// Starts to read the overrides in the background. Does nothing for an in-memory store, because no other process can
    /// change it.
    pub(in crate::guard) fn start_override_refresh(&self) {
        if self.shared.overrides.is_enabled && self.has_remote_store() {
            self.run_on_permit_thread(refresh(Arc::downgrade(&self.shared)));
        }
    }

    /// Reads the overrides now, for a program that is too short-lived to wait for the background.
    ///
    /// # Errors
    ///
    /// [`OverrideError`] if the guard was built without overrides, or if the store failed.
    #[doc(hidden)]
    pub async fn load_overrides(&self) -> Result<(), OverrideError> {
        if !self.shared.overrides.is_enabled {
            return Err(OverrideError::Disabled);
        }
        if !self.has_remote_store() {
            return Ok(());
        }
        let (result, receiver) = oneshot::channel();
        let guard = self.clone();
        self.run_on_permit_thread(async move {
            let _ = result.send(guard.refresh_overrides().await);
        });
        receiver.await.unwrap_or(Err(StoreError::Closed)).map_err(OverrideError::Store)
    }

    /// Reads the overrides if they have changed. If the store has lost them, writes those of this process again.
    async fn refresh_overrides(&self) -> Result<(), StoreError> {
        let table = &self.shared.overrides;
        let mut last = table.document.lock().await;
        if self.is_closed() {
            return Err(StoreError::Closed);
        }
        if self.override_time().saturating_sub(last.read_at) >= RESYNC_INTERVAL {
            last.version = None;
        }
        if self.read_overrides(&mut last).await? == OverrideRead::Lost {
            let overrides = table.list(last.read_at);
            self.write_overrides(&mut last, overrides).await?;
        }
        Ok(())
    }

    /// Reads the document. If it has changed and the store has lost no data, puts its overrides in effect.
    pub(super) async fn read_overrides(
        &self,
        last: &mut LastDocument,
    ) -> Result<OverrideRead, StoreError> {
        let table = &self.shared.overrides;
        let store = self.override_store()?;
        // Take the local time before the read. The store reads its clock later, so no override ends too late.
        let sent_at = self.override_time();
        let read = self.within_deadline(store.read(document::NAME, last.version)).await?;
        let DocumentRead::Changed(Document { version, text, now }) = read else {
            return Ok(OverrideRead::Current);
        };
        let is_missing = version == DocumentVersion::NONE;
        let decoded = if is_missing { Some(Default::default()) } else { document::decode(&text) };
        let (overrides, unknown_lines) = decoded.ok_or(StoreError::ForeignValue)?;
        (last.version, last.read_at, last.store_time) = (Some(version), sent_at, now);
        // The store was restored from a snapshot, or a replica that had not received all writes was promoted.
        let is_older = !is_missing && version < last.newest;
        if is_older || (is_missing && !table.list(sent_at).is_empty()) {
            return Ok(OverrideRead::Lost);
        }
        last.newest = version.max(last.newest);
        let is_active = |line: &String| document::end_of(line).is_some_and(|end| now < end);
        last.unknown_lines = unknown_lines.into_iter().filter(is_active).collect();
        let active = overrides.into_iter().filter(|it| now < it.ends_at);
        table.replace(
            active.map(|it| StoredOverride {
                ends_at: sent_at + it.ends_at.saturating_sub(now),
                ..it
            }),
        );
        Ok(OverrideRead::Current)
    }

    /// Writes these overrides and puts them in effect, if no other process has changed the document since it was read.
    /// Otherwise returns false.
    pub(super) async fn write_overrides(
        &self,
        last: &mut LastDocument,
        overrides: Vec<StoredOverride>,
    ) -> Result<bool, StoreError> {
        let LastDocument { version, read_at, store_time, .. } = *last;
        // If the write fails, it is unknown which document the store has. So the next read must return the text.
        last.version = None;
        let stored: Vec<_> = overrides
            .iter()
            .map(|it| {
                let ends_at = store_time + it.ends_at.saturating_sub(read_at);
                StoredOverride { ends_at, ..it.clone() }
            })
            .collect();
        let end = stored.iter().map(|it| it.ends_at).max().unwrap_or(store_time);
        let write = DocumentWrite {
            expected: version.unwrap_or(DocumentVersion::NONE),
            text: &document::encode(&stored, &last.unknown_lines),
            expires_at: end + EXPIRY_GRACE,
        };
        let write = self.override_store()?.write(document::NAME, write);
        last.version = self.within_deadline(write).await?;
        let is_written = last.version.is_some();
        if let Some(written) = last.version {
            // If the clock of the store was set back, this version can be less than that of a lost document.
            last.newest = written;
            self.shared.overrides.replace(overrides);
        }
        Ok(is_written)
    }

    fn log_refresh_failure(&self, cause: StoreError) {
        static LOG: ThrottledLog = ThrottledLog::new();
        if let Some(failures) = LOG.try_emit() {
            let server = server_suffix(self.keyspace());
            log::warn!(
                target: "rateguard",
                "failed to read the overrides{server}: {cause}; the last overrides stay in effect until they end; {failures} failed reads since the last message of this kind"
            );
        }
    }

    fn override_store(&self) -> Result<&dyn DocumentStore, StoreError> {
        // `build` has tested that the store has documents.
        self.shared.store.documents().ok_or(StoreError::Other("the store has no documents"))
    }

    /// Waits for an operation on a document. An in-memory store answers immediately, so it needs no timer.
    async fn within_deadline<T>(&self, operation: DocumentFuture<'_, T>) -> Result<T, StoreError> {
        if !self.has_remote_store() {
            return operation.await;
        }
        let result = tokio::time::timeout(self.shared.deadline, operation).await;
        result.unwrap_or(Err(StoreError::Timeout))
    }
}

/// The result of a read of the overrides.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OverrideRead {
    /// The overrides of this process agree with the store.
    Current,
    /// The store has lost data: it has an older document than this process has read or written, or it has no document
    /// although this process has overrides. The overrides of this process stay in effect, and the caller must write them.
    Lost,
}

/// Reads the overrides until the guard is dropped or closed.
async fn refresh(guard: Weak<Shared>) {
    loop {
        let Some(shared) = guard.upgrade() else { return };
        let guard = RateGuard { shared };
        match guard.refresh_overrides().await {
            Ok(()) => {}
            Err(StoreError::Closed) => return,
            Err(cause) => guard.log_refresh_failure(cause),
        }
        drop(guard);
        tokio::time::sleep(REFRESH_INTERVAL).await;
    }
}
