//! Decides checks with the units of a lease.

use std::time::Instant;

use super::key_leases::{KeyLeases, LeaseJob};
use crate::{
    Key, Policy, QuotaLease, StoreError, bucket_status::BucketStatus, guard::RateGuard,
    store::BucketRequest,
};

impl RateGuard {
    /// Admits a check with the units of a lease. `None` if this process has too few units, so that the store must
    /// decide. The only bucket of the policy has a quota with a lease.
    pub(in crate::guard) fn check_with_lease(
        &self,
        policy: &Policy,
        request: &BucketRequest<'_>,
    ) -> Option<BucketStatus> {
        let key = request.bucket.key();
        if request.cost == 0 {
            return None;
        }
        let mut shard = self.shared.leases.shard(key)?;
        let leases = shard.get(policy.name(), key)?;
        if leases.quota != request.quota {
            // The policy has changed, so the store decides with the new quota. The lease ends at its time.
            return None;
        }
        // The task that ends the lease needs the same lock, so it cannot end the lease between this time and the use of
        // the unit.
        let now = Instant::now();
        let used = leases.take(request.cost, now);
        let job = leases.next_job(now);
        drop(shard);
        self.start_lease_job(policy.shared_name(), key, job);
        let used = used?;
        // Like units that the store takes, these units also count in the memory that the mode `local` uses.
        let _ = self.shared.local.mirror(std::slice::from_ref(request));
        Some(BucketStatus {
            remaining: used.remaining,
            reset_after: used.reset_after,
            retry_after: Some(used.retry_after),
        })
    }

    /// Records that the store has admitted a check, and requests a lease if the key is busy. `room` is the number of
    /// units that remain.
    pub(in crate::guard) fn record_admission(
        &self,
        policy: &Policy,
        request: &BucketRequest<'_>,
        lease: QuotaLease,
        room: u32,
    ) {
        let key = request.bucket.key();
        let Some(mut shard) = self.shared.leases.shard(key) else { return };
        let now = Instant::now();
        let name = policy.shared_name();
        let new = || KeyLeases::new(name.clone(), request.quota, lease, now);
        let Some(leases) = shard.get_or_add(name, key, now, new) else { return };
        let job = if leases.quota == request.quota {
            leases.record_admission(request.cost, room, now);
            leases.next_job(now)
        } else {
            // The policy has changed. The units of the old leases are returned, and none is used with the new quota.
            let returned = leases.end_all();
            *leases = new();
            LeaseJob { returned, requested: 0 }
        };
        drop(shard);
        self.start_lease_job(name, key, job);
    }

    /// Before the reset of buckets, ends the leases of this process for them, and removes all their units from the
    /// store.
    ///
    /// # Errors
    ///
    /// The error of the store if it has not removed the units. The process tries again.
    pub(in crate::guard) async fn end_leases_for_reset(
        &self,
        requests: &[BucketRequest<'_>],
    ) -> Result<(), StoreError> {
        let mut result = Ok(());
        // The quota of the request has no lease if an override has replaced it since the lease began.
        for request in requests {
            let key: &Key = request.bucket.key();
            let (policy, ended) = {
                let Some(mut shard) = self.shared.leases.shard(key) else { return result };
                let Some(leases) = shard.get(request.bucket.name(), key) else { continue };
                (leases.policy.clone(), leases.end_all())
            };
            for mut lease in ended {
                lease.forget_uses();
                result = result.and(self.return_or_retry(&policy, key, lease).await);
            }
        }
        result
    }
}
