//! Publishes the statistics of this process once a second, in the background.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::sync::oneshot;

use crate::{
    StoreError,
    guard::{RateGuard, Shared, ThrottledLog, failure_log::server_suffix},
    statistics::{MAX_COUNTS, Recording, encode},
    store::StatisticsPublication,
};

/// The pause between two publications.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(1);

/// The maximum duration of a call of the store. It is longer than that of a check, because no request waits for it.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// The maximum number of publications without a pause, after the store was down.
const MAX_PUBLICATIONS: usize = 20;

impl RateGuard {
    /// Starts to publish the statistics, if the store has shared statistics.
    pub(in crate::guard) fn start_statistics(&self) {
        if self.publishes_statistics() {
            self.run_on_permit_thread(publish(Arc::downgrade(&self.shared)));
        }
    }

    fn publishes_statistics(&self) -> bool {
        let Shared { statistics, store, .. } = &*self.shared;
        statistics.get().is_some_and(|it| !it.settings.is_observer) && store.statistics().is_some()
    }

    /// Publishes the last counts, and removes the report of this process. The guard calls this method when it is closed.
    pub(in crate::guard) async fn publish_last_statistics(&self) {
        if !self.publishes_statistics() || self.shared.store.health() == Err(StoreError::Forked) {
            return;
        }
        let (done, receiver) = oneshot::channel();
        let guard = self.clone();
        self.run_on_permit_thread(async move {
            let deadline = guard.shared.deadline;
            if let Some(recording) = guard.shared.statistics.get() {
                // A failure is ignored: the counts of the last second are lost.
                let _ = tokio::time::timeout(deadline, guard.publish_all(recording, true)).await;
            }
            let _ = done.send(());
        });
        let _ = receiver.await;
    }

    /// Publishes all counts that the store does not have.
    async fn publish_all(&self, recording: &Recording, is_last: bool) -> Result<(), StoreError> {
        for _ in 0..MAX_PUBLICATIONS {
            if self.publish_once(recording, is_last).await? < MAX_COUNTS {
                break;
            }
        }
        Ok(())
    }

    /// Publishes a report and counts. Returns the number of counts.
    async fn publish_once(
        &self,
        recording: &Recording,
        is_last: bool,
    ) -> Result<usize, StoreError> {
        let store = self.shared.store.statistics();
        let store = store.ok_or(StoreError::Other("the store has no statistics"))?;
        let report = encode(&self.process_report(recording));
        let mut publisher = recording.publisher.lock().await;
        let sent_at = self.monotonic_time();
        let batch = publisher.batch(recording.series(), recording.unix_time(sent_at));
        let publication = StatisticsPublication {
            process: &recording.id,
            sequence: batch.sequence,
            report: (!is_last).then_some(&report),
            counts: &batch.counts,
        };
        let number = batch.counts.len();
        let publish = tokio::time::timeout(CALL_TIMEOUT, store.publish(publication));
        let now = publish.await.unwrap_or(Err(StoreError::Timeout))?;
        publisher.confirm();
        self.correct_clock(recording, sent_at, now);
        Ok(number)
    }

    /// Corrects the clock of the statistics with the time that the store has returned for a call.
    pub(super) fn correct_clock(
        &self,
        recording: &Recording,
        sent_at: Duration,
        store_time: Duration,
    ) {
        let received_at = self.monotonic_time();
        recording.set_time((sent_at + received_at) / 2, store_time);
    }

    fn log_publish_failure(&self, cause: StoreError) {
        static LOG: ThrottledLog = ThrottledLog::new();
        if let Some(failures) = LOG.try_emit() {
            let server = server_suffix(self.keyspace());
            log::warn!(
                target: "rateguard",
                "failed to publish the statistics{server}: {cause}; the counts of the last hour are published later; {failures} failures since the last message of this kind"
            );
        }
    }
}

/// Publishes the statistics until the guard is dropped or closed.
async fn publish(guard: Weak<Shared>) {
    loop {
        let Some(shared) = guard.upgrade() else { return };
        let guard = RateGuard { shared };
        let Some(recording) = guard.shared.statistics.get() else { return };
        if guard.is_closed() {
            return;
        }
        if let Err(cause) = guard.publish_all(recording, false).await {
            guard.log_publish_failure(cause);
        }
        drop(guard);
        tokio::time::sleep(PUBLISH_INTERVAL).await;
    }
}
