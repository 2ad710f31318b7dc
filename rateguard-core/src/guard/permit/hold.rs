//! The permits that one request holds, with the time at which they expire if they are not renewed.

use std::{
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    time::{Duration, Instant},
};

use smallvec::SmallVec;

use crate::{
    Key, Quota,
    clock::micros,
    guard::clock_margin::clock_margin,
    policy::PolicyName,
    store::{Bucket, BucketRequest, Receipt},
};

/// The part of a lease after which the permit is renewed. So two renewals can fail before the permit expires.
const RENEWALS_PER_LEASE: u32 = 3;

/// The permits that one request holds, one of each limit on requests in progress.
pub(in crate::guard) struct PermitHold {
    pub(in crate::guard) buckets: SmallVec<[HoldBucket; 1]>,
    pub(in crate::guard) store: PermitStore,
    /// The time directly before the guard sent the request for the permits. The store took them later, so the lease in
    /// the store ends later than the lease that starts at this time. All other times are microseconds after this time.
    start: Instant,
    /// The shortest lease of the permits.
    lease: Duration,
    /// The time at which the permits expire if they are not renewed; 0 if they have expired, and `u64::MAX` if they
    /// have no lease.
    valid_until: AtomicU64,
    /// The time of the next renewal.
    renew_at: AtomicU64,
}

/// The store that has the permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::guard) enum PermitStore {
    /// The store of the guard, which is in the memory of this process. The permits have no lease.
    Memory,
    /// The memory in which this process decided, because the store did not answer. The permits have no lease.
    Local,
    /// A store outside of this process. The permits have a lease.
    Remote,
}

/// The permit of one bucket.
pub(in crate::guard) struct HoldBucket {
    pub(in crate::guard) name: PolicyName,
    pub(in crate::guard) index: usize,
    pub(in crate::guard) key: Key,
    pub(in crate::guard) quota: Quota,
    pub(in crate::guard) receipt: Receipt,
    /// The receipt of the permit that the guard also took in this process's memory. `None` if it took none there.
    pub(in crate::guard) mirrored: Option<Receipt>,
}

impl HoldBucket {
    /// Returns the request with which the guard renews or releases the permit.
    pub(in crate::guard) fn request(&self, receipt: Receipt) -> BucketRequest<'_> {
        let bucket = Bucket::new(self.name.as_str(), self.index, &self.key);
        BucketRequest { receipt, ..BucketRequest::new(bucket, self.quota, 1) }
    }
}

impl PermitHold {
    pub(in crate::guard) fn new(
        buckets: SmallVec<[HoldBucket; 1]>,
        store: PermitStore,
        sent_at: Instant,
    ) -> Self {
        let lease = buckets.iter().map(|it| it.quota.window()).min().unwrap_or_default();
        let has_lease = store == PermitStore::Remote;
        Self {
            buckets,
            store,
            start: sent_at,
            lease,
            valid_until: AtomicU64::new(if has_lease { valid_for(lease) } else { u64::MAX }),
            renew_at: AtomicU64::new(micros(lease / RENEWALS_PER_LEASE)),
        }
    }

    /// Returns the requests with which the guard renews or releases the permits.
    pub(in crate::guard) fn requests(&self) -> SmallVec<[BucketRequest<'_>; 1]> {
        self.buckets.iter().map(|bucket| bucket.request(bucket.receipt)).collect()
    }

    /// Returns the shortest lease of the permits.
    pub(in crate::guard) fn lease(&self) -> Duration {
        self.lease
    }

    /// Returns the requests with which the guard releases the permits that it also took in this process's memory.
    pub(in crate::guard) fn mirrored_requests(&self) -> SmallVec<[BucketRequest<'_>; 1]> {
        self.buckets.iter().filter_map(|it| Some(it.request(it.mirrored?))).collect()
    }

    /// Returns whether the permits are still valid: the store has not given them to another request.
    pub(in crate::guard) fn is_valid(&self) -> bool {
        self.elapsed() < self.valid_until.load(SeqCst)
    }

    /// Returns the time of the next renewal.
    pub(in crate::guard) fn renew_at(&self) -> Instant {
        self.start + Duration::from_micros(self.renew_at.load(SeqCst))
    }

    /// Returns whether the permits should be renewed in a pass at the time `now`. Permits that are almost due are part
    /// of the same pass, so that one pass has many of them.
    pub(in crate::guard) fn is_due(&self, now: Instant) -> bool {
        self.renew_at() <= now + self.lease / (4 * RENEWALS_PER_LEASE)
    }

    /// Records that the store has renewed the permits after the time `sent_at`. Returns false if the lease had already
    /// ended by the clock of this process. The permits then stay invalid, because the holder may know this.
    pub(in crate::guard) fn renewed(&self, sent_at: Instant) -> bool {
        let sent_at = micros(sent_at.saturating_duration_since(self.start));
        self.renew_at.store(sent_at + micros(self.lease / RENEWALS_PER_LEASE), SeqCst);
        let now = self.elapsed();
        let renew = |until| (now < until).then_some(sent_at + valid_for(self.lease));
        self.valid_until.fetch_update(SeqCst, SeqCst, renew).is_ok()
    }

    /// Sets the time of the next attempt, after a renewal has failed.
    pub(in crate::guard) fn postpone(&self) {
        let delay = (self.lease / 20).clamp(Duration::from_millis(50), Duration::from_secs(1));
        self.renew_at.store(self.elapsed() + micros(delay), SeqCst);
    }

    /// Marks the permits as expired. Returns false if they were marked before.
    pub(in crate::guard) fn expire(&self) -> bool {
        self.valid_until.swap(0, SeqCst) != 0
    }

    fn elapsed(&self) -> u64 {
        micros(self.start.elapsed())
    }
}

/// Returns the time for which a holder considers its permit valid after it has sent a request for it, in microseconds.
fn valid_for(lease: Duration) -> u64 {
    micros(lease - clock_margin(lease))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;

    fn hold(lease: &str, store: PermitStore, age: Duration) -> PermitHold {
        let policy = Policy::new("p", "5/minute").unwrap();
        let bucket = HoldBucket {
            name: policy.shared_name().clone(),
            index: 0,
            key: Key::global(),
            quota: format!("5 concurrent lease {lease}").parse().unwrap(),
            receipt: Receipt::default(),
            mirrored: None,
        };
        let sent_at = Instant::now().checked_sub(age).unwrap();
        PermitHold::new([bucket].into_iter().collect(), store, sent_at)
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn lease_counts_from_the_time_before_the_request_was_sent() {
        assert!(hold("2m", PermitStore::Remote, MINUTE).is_valid());
        assert!(!hold("1m", PermitStore::Remote, MINUTE).is_valid());
        assert!(hold("1m", PermitStore::Memory, MINUTE).is_valid());
    }

    #[test]
    fn renewal_after_the_end_of_the_lease_revives_nothing() {
        let valid = hold("2m", PermitStore::Remote, MINUTE);
        assert!(valid.is_due(Instant::now()));
        assert!(valid.renewed(Instant::now()) && valid.is_valid());
        assert!(!valid.is_due(Instant::now()));
        let late = hold("1m", PermitStore::Remote, MINUTE);
        assert!(!late.renewed(Instant::now()) && !late.is_valid());
        assert!(late.expire() && !late.expire());
        assert!(!late.renewed(Instant::now()));
    }
}
