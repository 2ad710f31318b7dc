//! Stores the permits of requests in progress. The table has only buckets with permits, so it needs no maximum.

use super::id::BucketId;
use crate::{
    Quota,
    algorithm::{Micros, concurrency::PermitSet},
    keyed_hash::HashedMap,
};

/// The minimum number of buckets for a sweep of the table.
const MIN_SWEEP: usize = 64;

/// The permits of each bucket, without the buckets that have none.
#[derive(Default)]
pub(super) struct PermitTable {
    buckets: HashedMap<BucketId, (PermitSet, Quota)>,
    /// The number of buckets at which the next sweep takes place. The sweep removes the buckets whose leases have ended.
    sweep_at: usize,
}

impl PermitTable {
    /// Updates the permits of the bucket to the time `now`, and calls `operation` with them.
    pub(super) fn with_permits<R>(
        &mut self,
        id: BucketId,
        quota: Quota,
        now: Micros,
        operation: impl FnOnce(&mut PermitSet) -> R,
    ) -> R {
        if let Some((permits, last_quota)) = self.buckets.get_mut(&id) {
            *last_quota = quota;
            permits.settle(quota, now);
            let result = operation(permits);
            if permits.used() == 0 {
                self.buckets.remove(&id);
            }
            return result;
        }
        let mut permits = PermitSet::default();
        let result = operation(&mut permits);
        if permits.used() > 0 {
            self.sweep(now);
            self.buckets.insert(id, (permits, quota));
        }
        result
    }

    pub(super) fn remove(&mut self, id: BucketId) {
        self.buckets.remove(&id);
    }

    pub(super) fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Removes the buckets whose leases have all ended, if the number of buckets has doubled since the last sweep.
    fn sweep(&mut self, now: Micros) {
        if self.buckets.len() < self.sweep_at {
            return;
        }
        self.buckets.retain(|_, (permits, quota)| {
            permits.settle(*quota, now);
            permits.used() > 0
        });
        self.sweep_at = (2 * self.buckets.len()).max(MIN_SWEEP);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;

    #[test]
    fn table_has_only_buckets_with_permits() {
        let quota: Quota = "1 concurrent".parse().unwrap();
        let mut table = PermitTable::default();
        let id = |number| BucketId([number, number]);
        for number in 0..1_000 {
            let now = number * SECOND;
            table.with_permits(id(number), quota, now, |permits| {
                permits.take(quota, now, 1, number, true);
            });
        }
        assert!(table.len() <= 2 * MIN_SWEEP, "{}", table.len());
        table.with_permits(id(999), quota, 1_000 * SECOND, |permits| permits.release(1, 999));
        assert!(!table.buckets.contains_key(&id(999)));
    }
}
