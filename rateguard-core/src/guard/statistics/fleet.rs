//! Reads the statistics of all processes.

use std::{sync::Arc, time::Duration};

use tokio::sync::oneshot;

use super::publish::CALL_TIMEOUT;
use crate::{
    GuardStatistics, StatisticsScope, StoreError,
    guard::RateGuard,
    statistics::{FleetCache, ProcessReport, Recording, assemble, decode},
    store::{StatisticsRead, StatisticsStore},
};

/// The minimum time between two reads. More frequent callers get the last result.
const MIN_READ_INTERVAL: Duration = Duration::from_secs(1);

/// The maximum number of calls of the store in one read. An hour needs three, and a change of the revision up to three
/// more.
const MAX_CALLS: usize = 8;

impl RateGuard {
    /// Returns the statistics of the fleet. The thread of the permits reads them, so the caller needs no runtime.
    pub(super) async fn fleet_statistics(&self) -> Result<Arc<GuardStatistics>, StoreError> {
        if self.is_closed() {
            return Err(StoreError::Closed);
        }
        // In a forked process, no thread would run the read.
        if self.shared.store.health() == Err(StoreError::Forked) {
            return Err(StoreError::Forked);
        }
        let (result, receiver) = oneshot::channel();
        let guard = self.clone();
        self.run_on_permit_thread(async move {
            if let Some(recording) = guard.shared.statistics.get() {
                let _ = result.send(guard.cached_fleet(recording).await);
            }
        });
        receiver.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Returns the last result if it is less than 1 second old, or else reads the statistics. Concurrent callers wait for
    /// one read.
    async fn cached_fleet(
        &self,
        recording: &Recording,
    ) -> Result<Arc<GuardStatistics>, StoreError> {
        let mut cache = recording.fleet.lock().await;
        if let Some((at, result)) = &cache.last
            && self.monotonic_time().saturating_sub(*at) < MIN_READ_INTERVAL
        {
            return result.clone();
        }
        let read = tokio::time::timeout(CALL_TIMEOUT, self.read_fleet(recording, &mut cache));
        let result = read.await.unwrap_or(Err(StoreError::Timeout)).map(Arc::new);
        cache.last = Some((self.monotonic_time(), result.clone()));
        result
    }

    async fn read_fleet(
        &self,
        recording: &Recording,
        cache: &mut FleetCache,
    ) -> Result<GuardStatistics, StoreError> {
        let store = self.shared.store.statistics();
        let store = store.ok_or(StoreError::Other("the store has no statistics"))?;
        cache.start_read();
        let mut read = self.read_intervals(recording, store, cache).await?;
        for _ in 1..MAX_CALLS {
            if cache.missing(read.now).is_empty() {
                break;
            }
            read = self.read_intervals(recording, store, cache).await?;
        }
        let readable = recording.has_readable_keys();
        let others = read.reports.iter().filter(|it| it.process != recording.id);
        let others = others.filter_map(|it| decode(&it.process, it.age, &it.text, readable));
        let this = (!recording.settings.is_observer).then(|| self.process_report(recording));
        let reports: Vec<ProcessReport> = this.into_iter().chain(others).collect();
        let history = cache.history();
        Ok(assemble(StatisticsScope::Fleet, None, read.now, readable, &reports, &history))
    }

    /// Reads the latest intervals that are missing in the cache, and the reports.
    async fn read_intervals(
        &self,
        recording: &Recording,
        store: &dyn StatisticsStore,
        cache: &mut FleetCache,
    ) -> Result<StatisticsRead, StoreError> {
        let sent_at = self.monotonic_time();
        let intervals = cache.missing(recording.unix_time(sent_at));
        let read = store.read(&intervals).await?;
        self.correct_clock(recording, sent_at, read.now);
        cache.add(&intervals, &read);
        Ok(read)
    }
}
