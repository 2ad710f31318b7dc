//! Returns the statistics of a guard.

use std::sync::Arc;

use crate::{GuardStatistics, guard::RateGuard};

impl RateGuard {
    /// Returns the statistics of the guard: the number of checks of each policy in the last hour, the keys that were
    /// denied most often, and the state of each process. `None` if the guard was built without
    /// [`statistics`](crate::RateGuardBuilder::statistics).
    ///
    /// On Redis and Upstash, the statistics are those of all processes with the same server and prefix. This process reads
    /// them at most once a second, however often the method is called. If the store does not answer, the statistics are
    /// those of this process alone. In memory, they are always those of this process.
    ///
    /// A check of several policies counts for the policy whose quota decided. Peeks, refunds and debits do not count.
    ///
    /// ```
    /// # use actix_rateguard_core::{Key, Policy, RateGuard, Statistics};
    /// # futures_util::FutureExt::now_or_never(async {
    /// let guard = RateGuard::builder().statistics(Statistics::new()).build()?;
    /// let policy = Policy::new("emails", "1/minute")?;
    /// for _ in 0..3 {
    ///     guard.check(&policy, &Key::from("user-42")).await?;
    /// }
    /// let statistics = guard.statistics().await.expect("the guard has statistics");
    /// let emails = &statistics.policies[0];
    /// assert_eq!((emails.totals.allowed, emails.totals.denied), (1, 2));
    /// assert_eq!(statistics.denied_keys[0].denials, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap().unwrap();
    /// ```
    pub async fn statistics(&self) -> Option<GuardStatistics> {
        let recording = self.shared.statistics.get()?;
        if self.shared.store.statistics().is_none() {
            return Some(self.process_statistics(recording, None));
        }
        Some(match self.fleet_statistics().await {
            Ok(statistics) => Arc::unwrap_or_clone(statistics),
            Err(cause) => self.process_statistics(recording, Some(cause)),
        })
    }
}
