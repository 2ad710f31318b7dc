//! Requests leases from the store and returns them. This runs on the thread that renews permits.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::{join, join_all};

use super::{key_leases::LeaseJob, open_lease::OpenLease};
use crate::{
    Key, Quota,
    guard::RateGuard,
    policy::PolicyName,
    store::{Bucket, BucketRequest, Operation},
};

/// How often a process sends the return of a lease if it gets no reply.
const RETURN_ATTEMPTS: usize = 2;

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
                job.returned.iter().map(|it| guard.return_lease(policy.as_str(), &key, it));
            // Both are pushed to the queue before it is sent, so the store gets them in one call.
            join(join_all(returns), guard.request_lease(&policy, &key, job.requested)).await;
        });
    }

    /// Requests a lease with this number of units, and adds it to the table.
    async fn request_lease(&self, policy: &PolicyName, key: &Key, units: u32) {
        let shared = &self.shared;
        let quota = match shared
            .leases
            .shard(key)
            .and_then(|mut shard| shard.get(policy.as_str(), key).map(|leases| leases.quota))
        {
            Some(quota) if units > 0 => quota,
            _ => return,
        };
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
        let refuse = |room: Option<u32>, pause: Duration| {
            if let Some(mut shard) = shared.leases.shard(key)
                && let Some(leases) = shard.get(policy.as_str(), key)
            {
                leases.refuse(room, pause, received_at);
            }
        };
        let verdict = match result {
            Ok(verdict) if verdict.is_allowed() => verdict,
            Ok(verdict) => return refuse(Some(room(&verdict)), lease.duration() / 4),
            Err(cause) => {
                // If the store has granted the lease, its units count as used at its end, as after a crash.
                self.record_store_error(cause);
                return refuse(None, lease.duration());
            }
        };
        let receipt = verdict.receipts().next().unwrap_or_default();
        let of = (shared.leases.next_number(), quota, lease);
        let mut open = OpenLease::new(of, units, receipt, sent_at, received_at);
        open.mirrored = shared.local.mirror(requests).into_iter().next().flatten();
        let (number, return_at) = (open.number, open.return_at());
        let rejected = match shared.leases.shard(key) {
            Some(mut shard) => match shard.get(policy.as_str(), key) {
                Some(leases) if leases.quota == quota => leases.add(open, room(&verdict)),
                Some(_) | None => Some(open),
            },
            None => Some(open),
        };
        match rejected {
            None => self.end_lease_at(return_at, number, policy, key),
            // The guard was closed, or the policy has changed.
            Some(open) => self.return_lease(policy.as_str(), key, &open).await,
        }
    }

    /// Ends the lease with this number at the time `at`, unless all its units have been used before.
    fn end_lease_at(&self, at: Instant, number: u64, policy: &PolicyName, key: &Key) {
        let (guard, policy, key) = (Arc::downgrade(&self.shared), policy.clone(), *key);
        self.run_on_permit_thread(async move {
            tokio::time::sleep_until(at.into()).await;
            let Some(shared) = guard.upgrade() else { return };
            let guard = RateGuard { shared };
            let job =
                guard.shared.leases.shard(&key).map_or_else(LeaseJob::default, |mut shard| {
                    shard.end(policy.as_str(), &key, number, Instant::now())
                });
            guard.start_lease_job(&policy, &key, job);
        });
    }

    /// Returns a lease that has ended. If the store does not answer, its units count as used at the end of the lease.
    pub(super) async fn return_lease(&self, policy: &str, key: &Key, lease: &OpenLease) {
        let shared = &self.shared;
        let bucket = Bucket::new(policy, 0, key);
        let request = of_lease(bucket, lease.quota, lease);
        let requests = std::slice::from_ref(&request);
        for _ in 0..RETURN_ATTEMPTS {
            match self.run_final_operation(Operation::Return, requests).await {
                Ok(()) => break,
                // A return may be repeated, because the store finds the units by the id of the lease.
                Err(cause) => self.record_store_error(cause),
            }
        }
        if let Some(receipt) = lease.mirrored
            && lease.unused() > 0
        {
            let unused = BucketRequest {
                receipt,
                ..BucketRequest::new(bucket, lease.quota, lease.unused())
            };
            shared.local.mirror_undo(Operation::Refund, &[unused]);
        }
    }

    /// Ends and returns all leases, because the guard is closed.
    pub(in crate::guard) async fn return_all_leases(&self) {
        let leases = self.shared.leases.close();
        let returns = leases
            .iter()
            .map(|(policy, key, lease)| self.return_lease(policy.as_str(), key, lease));
        if !leases.is_empty() {
            let _ = tokio::time::timeout(self.shared.deadline, join_all(returns)).await;
        }
    }
}

/// Returns the request with which the guard returns the lease.
fn of_lease<'a>(bucket: Bucket<'a>, quota: Quota, lease: &'a OpenLease) -> BucketRequest<'a> {
    let request = BucketRequest::new(bucket, quota, lease.units);
    BucketRequest { receipt: lease.receipt, uses: lease.uses(), ..request }
}
