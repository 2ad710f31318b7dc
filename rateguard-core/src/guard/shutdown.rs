//! Graceful shutdown of a guard.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use tokio::time::{Instant, sleep};

use super::{RateGuard, Shared};

/// The interval at which `close` tests whether checks are still in progress.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

impl RateGuard {
    /// Closes the guard and all its clones. Call this method when the application ends, after the HTTP server or the
    /// worker has stopped.
    ///
    /// This method waits for the checks in progress, at most for one [deadline](crate::RateGuardBuilder::deadline). The
    /// method then releases the [permits](crate::Permit) that this process still holds, and returns its unused units of
    /// leases. The release takes at most a further deadline. The return of leases of very many keys takes several
    /// steps, and ends if the store does not answer one of them within a deadline. A guard with
    /// [statistics](crate::RateGuardBuilder::statistics) then publishes its last counts, which takes at most a
    /// deadline. The method then closes the connections to the store, and the guard stops reading the policies file.
    ///
    /// ```
    /// # use actix_rateguard_core::{Key, Policy, RateGuard, StoreError};
    /// # futures_util::FutureExt::now_or_never(async {
    /// let guard = RateGuard::in_memory();
    /// let jobs = Policy::new("jobs", "100/minute")?;
    /// guard.check(&jobs, &Key::global()).await?;
    /// // After the last job:
    /// guard.close().await;
    ///
    /// let unavailable = guard.check(&jobs, &Key::global()).await.unwrap_err();
    /// assert_eq!(unavailable.cause(), StoreError::Closed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap().unwrap();
    /// ```
    ///
    /// Requests that [wait](crate::Request::check_or_wait) for room are denied as soon as `close` is called.
    ///
    /// Checks that start after the call of `close` fail with [`StoreError::Closed`](crate::StoreError::Closed), so
    /// the failure mode of the policy decides. [`health`](Self::health) reports the same error as soon as `close` is
    /// called. If all clones of a guard are dropped without `close`, the guard closes the connections without
    /// waiting for checks.
    ///
    /// # Panics
    ///
    /// Panics if checks are in progress, or permits or leases are held, and there is no Tokio runtime with its timer
    /// enabled.
    pub async fn close(&self) {
        self.shared.is_closed.store(true, SeqCst);
        self.shared.wait_queues.closed.notify_waiters();
        let start = Instant::now();
        let is_busy = || {
            let Shared { in_flight, permits, leases, .. } = &*self.shared;
            !in_flight.is_empty() || permits.is_releasing() || leases.has_running_jobs()
        };
        while is_busy() && start.elapsed() < self.shared.deadline {
            sleep(POLL_INTERVAL).await;
        }
        self.release_all_permits().await;
        self.return_all_leases().await;
        #[cfg(feature = "statistics")]
        self.publish_last_statistics().await;
        #[cfg(feature = "config")]
        self.stop_watching();
        self.shared.store.close();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.shared.is_closed.load(SeqCst)
    }
}
