//! Requests leases from the store and returns them. This runs on the thread that renews permits.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::{join, join_all};

use super::{
    key_leases::{KeyLeases, LeaseJob},
    open_lease::OpenLease,
};
use crate::{
    Key, Quota, StoreError,
    guard::RateGuard,
    policy::PolicyName,
    store::{Bucket, BucketRequest, Operation},
};

/// The number of times that a process sends the return of a lease that fails, before it waits for `retry_return_at`.
const RETURN_ATTEMPTS: usize = 2;

/// The maximum number of units of the leases that `close` returns in one step. Redis needs about 10 ms for them, so
/// even a short deadline is long enough.
const MAX_UNITS_PER_STEP: u32 = 4_000;

/// Counts a job, so that `close` waits for it. If the runtime drops the job, the count also ends.
struct RunningJob(RateGuard);

impl RunningJob {
    fn new(guard: &RateGuard) -> Self {
        guard.shared.leases.start_job();
        Self(guard.clone())
    }
}

impl Drop for RunningJob {
    fn drop(&mut self) {
        self.0.shared.leases.end_job();
    }
}

impl RateGuard {
    /// Sends these messages to the store, without waiting for the replies.
    pub(super) fn start_lease_job(&self, policy: &PolicyName, key: &Key, job: LeaseJob) {
        if job.is_empty() {
            return;
        }
        let (running, policy, key) = (RunningJob::new(self), policy.clone(), *key);
        self.run_on_permit_thread(async move {
            let guard = &running.0;
            let returns =
                job.returned.into_iter().map(|it| guard.return_or_retry(&policy, &key, it));
            // All messages are in the queue before the dispatcher sends a batch. So the store gets them in one call, or
            // in several calls if they have more units than a batch can have.
            join(join_all(returns), guard.request_lease(&policy, &key, job.requested)).await;
        });
    }

    /// Requests a lease with this number of units, and adds it to the table.
    async fn request_lease(&self, policy: &PolicyName, key: &Key, units: u32) {
        let shared = &self.shared;
        if units == 0 {
            return;
        }
        let quota_of_leases =
            || shared.leases.shard(key)?.get(policy.as_str(), key).map(|leases| leases.quota);
        let Some(quota) = quota_of_leases() else { return };
        let Some(lease) = quota.lease() else { return };
        let request = BucketRequest::new(Bucket::new(policy.as_str(), 0, key), quota, units);
        let requests = std::slice::from_ref(&request);
        // The process uses the units only until one lease after this time. The store grants the lease later.
        let sent_at = Instant::now();
        let result = self.run_operation(Operation::Lease, requests, shared.deadline).await;
        let received_at = Instant::now();
        let room = |verdict: &crate::store::Verdict| {
            verdict.statuses().next().map_or(0, |it| it.remaining)
        };
        let record_denied_lease = |room: Option<u32>, pause: Duration| {
            if let Some(mut shard) = shared.leases.shard(key)
                && let Some(leases) = shard.get(policy.as_str(), key)
            {
                leases.record_denied_lease(room, pause, received_at);
            }
        };
        let verdict = match result {
            Ok(verdict) if verdict.is_allowed() => verdict,
            Ok(verdict) => return record_denied_lease(Some(room(&verdict)), lease.duration() / 4),
            Err(cause) => {
                // If the store has granted the lease, its units count as used at its end, as after a crash.
                self.record_store_error(cause);
                return record_denied_lease(None, lease.duration());
            }
        };
        let receipt = verdict.receipts().next().unwrap_or_default();
        let of = (shared.leases.next_number(), quota, lease);
        let open = OpenLease::new(of, units, receipt, sent_at, received_at);
        let (number, return_at) = (open.number, open.return_at());
        let rejected = match shared.leases.shard(key) {
            Some(mut shard) => match shard.get(policy.as_str(), key) {
                Some(leases) if leases.quota == quota => leases.add(open, room(&verdict)),
                Some(_) | None => Some(open),
            },
            None => Some(open),
        };
        match rejected {
            None => self.run_job_at(return_at, policy, key, move |leases| {
                leases.end(number, Instant::now())
            }),
            // The guard was closed, or the policy has changed.
            Some(open) => {
                let _ = self.return_or_retry(policy, key, open).await;
            }
        }
    }

    /// At the time `at`, sends the messages that `job` returns for the leases of the key.
    fn run_job_at(
        &self,
        at: Instant,
        policy: &PolicyName,
        key: &Key,
        job: impl FnOnce(&mut KeyLeases) -> LeaseJob + Send + 'static,
    ) {
        let (guard, policy, key) = (Arc::downgrade(&self.shared), policy.clone(), *key);
        self.run_on_permit_thread(async move {
            tokio::time::sleep_until(at.into()).await;
            let Some(shared) = guard.upgrade() else { return };
            let guard = RateGuard { shared };
            let job = guard
                .shared
                .leases
                .shard(&key)
                .and_then(|mut shard| shard.get(policy.as_str(), &key).map(job));
            guard.start_lease_job(&policy, &key, job.unwrap_or_default());
        });
    }

    /// Returns a lease that has ended. If the store does not answer, tries again at the times of
    /// [`OpenLease::retry_return_at`], until the guard is closed.
    ///
    /// # Errors
    ///
    /// The error of the store if it has not answered yet.
    pub(super) async fn return_or_retry(
        &self,
        policy: &PolicyName,
        key: &Key,
        mut lease: OpenLease,
    ) -> Result<(), StoreError> {
        let result = self.return_lease(policy, key, &lease).await;
        if result.is_err()
            && let Some(at) = lease.retry_return_at(Instant::now())
        {
            let number = lease.number;
            let was_added = self.shared.leases.shard(key).is_some_and(|mut shard| {
                let leases = shard.get(policy.as_str(), key);
                leases.map(|leases| leases.add_unreturned(lease)).is_some()
            });
            if was_added {
                self.run_job_at(at, policy, key, move |leases| leases.retry_return(number));
            }
        }
        result
    }

    /// Returns a lease that has ended. If the store does not answer, its units count as used at the end of the lease.
    async fn return_lease(
        &self,
        policy: &PolicyName,
        key: &Key,
        lease: &OpenLease,
    ) -> Result<(), StoreError> {
        let request = return_request(Bucket::new(policy.as_str(), 0, key), lease.quota, lease);
        let requests = std::slice::from_ref(&request);
        let mut result = Ok(());
        for _ in 0..RETURN_ATTEMPTS {
            result = self.run_final_operation(Operation::Return, requests).await;
            match result {
                Ok(()) => break,
                // A return may be repeated, because the store finds the units by the id of the lease.
                Err(cause) => self.record_store_error(cause),
            }
        }
        result
    }

    /// Ends and returns all leases, because the guard is closed. Stops if the store needs longer than a deadline for
    /// one step.
    pub(in crate::guard) async fn return_all_leases(&self) {
        let leases = self.shared.leases.close();
        let mut rest = &*leases;
        while !rest.is_empty() {
            let mut units = 0;
            let is_in_step = |(.., lease): &&(PolicyName, Key, OpenLease)| {
                units += lease.units;
                units <= MAX_UNITS_PER_STEP
            };
            let count = rest.iter().take_while(is_in_step).count().max(1);
            let (step, later) = rest.split_at(count);
            let returns =
                step.iter().map(|(policy, key, lease)| self.return_lease(policy, key, lease));
            match tokio::time::timeout(self.shared.deadline, join_all(returns)).await {
                Ok(results) if results.iter().any(Result::is_ok) => rest = later,
                _ => return,
            }
        }
    }
}

/// Returns the request with which the guard returns the lease.
fn return_request<'a>(bucket: Bucket<'a>, quota: Quota, lease: &'a OpenLease) -> BucketRequest<'a> {
    let request = BucketRequest::new(bucket, quota, lease.units);
    BucketRequest { receipt: lease.receipt, uses: lease.uses(), ..request }
}
