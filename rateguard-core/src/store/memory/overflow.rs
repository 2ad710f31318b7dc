//! Shares sliding-window logs among the keys that find no room in a full table.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    time::Duration,
};

use super::id::{BucketId, BucketLocation};
use crate::{
    Algorithm, Quota,
    algorithm::{BucketState, LimiterState, Micros, sliding_window::SlidingWindowLog},
    keyed_hash::HashedMap,
    store::BucketStatus,
};

/// The number of shared logs for each quota in each shard.
const SHARED_LOGS: u64 = 16;

/// Holds the shared logs of a shard. Each quota has a fixed number of logs, and any number of keys can use these
/// logs.
///
/// All keys that use one log together get the limit of a single key, so no key exceeds its limit. The units in a log
/// can exceed the limit by a few units. For example, a check of several quotas finds room in the table when it
/// decides, but finds no room when it adds the units. The units are then added to the shared log, although the check
/// did not use this log for its decision.
#[derive(Default)]
pub(super) struct Overflow {
    logs: HashMap<(Quota, u64), SharedLog>,
    sweep_at: usize,
}

struct SharedLog {
    log: BucketState,
    /// The entries of `log` and the bucket that owns each entry, oldest first. When a bucket moves to the table, the
    /// store uses these entries to move the units of the bucket out of the log.
    entries: VecDeque<SharedEntry>,
    /// For each owner, the sum of the units of its entries.
    units: HashedMap<BucketId, u32>,
}

/// The units that one bucket has added to a shared log at one time.
struct SharedEntry {
    owner: BucketId,
    at: Micros,
    units: u32,
}

impl Overflow {
    /// Updates the shared log of a bucket to the time `now`, and gives the bucket access to this log.
    pub(super) fn slot(
        &mut self,
        location: BucketLocation,
        quota: Quota,
        now: Micros,
    ) -> SharedSlot<'_> {
        let log_quota = log_quota(quota);
        self.drop_expired(now);
        let shared =
            self.logs.entry(log_key(location.id, log_quota)).or_insert_with(|| SharedLog {
                log: BucketState::empty(Algorithm::SlidingWindow),
                entries: VecDeque::new(),
                units: HashedMap::default(),
            });
        shared.log.settle(log_quota, now, 0);
        shared.drop_expired(log_quota, now);
        SharedSlot { shared, owner: location.id, log_quota, quota }
    }

    /// Drops all expired logs, but only if the number of logs has doubled since this method last dropped logs. Most
    /// calls therefore do nothing.
    fn drop_expired(&mut self, now: Micros) {
        if self.logs.len() >= self.sweep_at {
            self.logs.retain(|(quota, _), shared| shared.log.expires_at(*quota) > now);
            self.sweep_at = (2 * self.logs.len()).max(4 * SHARED_LOGS as usize);
        }
    }

    /// Moves all entries of a bucket from its shared log to a new log. Returns `None` if the shared log has no
    /// entries of this bucket.
    pub(super) fn take(
        &mut self,
        location: BucketLocation,
        quota: Quota,
        now: Micros,
    ) -> Option<SlidingWindowLog> {
        let quota = log_quota(quota);
        let key = log_key(location.id, quota);
        let shared = self.logs.get_mut(&key)?;
        if shared.log.expires_at(quota) <= now {
            self.logs.remove(&key);
            return None;
        }
        let mut log = None;
        shared.remove_owner(location.id, quota, now, |entry| {
            log.get_or_insert_with(SlidingWindowLog::default).add(quota, entry.at, entry.units);
        });
        log
    }
}

impl SharedLog {
    /// Drops the expired entries, and updates the sum of units of each owner.
    fn drop_expired(&mut self, quota: Quota, now: Micros) {
        let window = quota.window_micros();
        while let Some(&SharedEntry { owner, at, units }) = self.entries.front()
            && at + window <= now
        {
            self.entries.pop_front();
            self.subtract_units(owner, units);
        }
    }

    fn units_of(&self, owner: BucketId) -> u32 {
        self.units.get(&owner).copied().unwrap_or(0)
    }

    fn subtract_units(&mut self, owner: BucketId, units: u32) {
        if let Entry::Occupied(mut owned) = self.units.entry(owner) {
            *owned.get_mut() = owned.get().saturating_sub(units);
            if *owned.get() == 0 {
                owned.remove();
            }
        }
    }

    /// Removes all entries of this owner, and calls `callback` with each entry.
    fn remove_owner(
        &mut self,
        owner: BucketId,
        quota: Quota,
        now: Micros,
        mut callback: impl FnMut(&SharedEntry),
    ) {
        let Self { log, entries, units } = self;
        if units.remove(&owner).is_none() {
            return;
        }
        entries.retain(|entry| {
            if entry.owner != owner {
                return true;
            }
            log.refund(quota, now, entry.units, entry.at);
            callback(entry);
            false
        });
    }
}

/// Gives one bucket access to its shared log. The log is already updated to the time of the operation.
pub(super) struct SharedSlot<'a> {
    shared: &'a mut SharedLog,
    owner: BucketId,
    /// The quota that applies to the whole shared log.
    log_quota: Quota,
    /// The quota that applies to the bucket.
    quota: Quota,
}

impl SharedSlot<'_> {
    pub(super) fn wait_for(&self, now: Micros, units: u32) -> Option<Micros> {
        let wait = self.shared.log.wait_for(self.log_quota, now, units);
        wait.or_else(|| self.retry_next_window(units))
    }

    /// Returns true if the units would fit into a shared log that has only the units of this bucket.
    pub(super) fn has_room_alone(&self, units: u32) -> bool {
        self.shared.units_of(self.owner).saturating_add(units) <= self.log_quota.capacity()
    }

    pub(super) fn add(&mut self, now: Micros, units: u32) {
        if units == 0 {
            return;
        }
        self.shared.log.add(self.log_quota, now, units);
        let units = units.min(self.log_quota.capacity());
        let owned = self.shared.units.entry(self.owner).or_default();
        *owned = owned.saturating_add(units);
        self.shared.entries.push_back(SharedEntry { owner: self.owner, at: now, units });
    }

    pub(super) fn status(&self, now: Micros, units: u32) -> BucketStatus {
        let mut status = self.shared.log.status(self.log_quota, now, units);
        if status.retry_after.is_none() {
            status.retry_after = self.retry_next_window(units).map(Duration::from_micros);
        }
        status
    }

    pub(super) fn refund(&mut self, now: Micros, units: u32, taken_at: Micros) {
        let mut remaining = units;
        for entry in &mut self.shared.entries {
            if entry.owner == self.owner && entry.at == taken_at {
                let refunded = remaining.min(entry.units);
                entry.units -= refunded;
                remaining -= refunded;
            }
        }
        self.shared.subtract_units(self.owner, units - remaining);
        self.shared.entries.retain(|entry| entry.units > 0);
        self.shared.log.refund(self.log_quota, now, units - remaining, taken_at);
    }

    pub(super) fn reset(&mut self, now: Micros) {
        self.shared.remove_owner(self.owner, self.log_quota, now, |_| {});
    }

    /// Returns the wait for a cost that never fits the shared log but fits the bucket. Such a cost exists if the burst
    /// of the bucket is larger than the limit of the shared log. The wait is one window, because the table may have
    /// room for the bucket after this time.
    fn retry_next_window(&self, units: u32) -> Option<Micros> {
        (units <= self.quota.max_cost()).then(|| self.log_quota.window_micros())
    }
}

/// Returns the quota of the shared log for buckets with this quota. The shared log is a sliding window, whatever the
/// algorithm of the buckets is. The algorithm of the bucket would also admit each request that this sliding window
/// admits. A shared log does not allow bursts above the limit.
fn log_quota(quota: Quota) -> Quota {
    let limit = quota.limit().min(quota.capacity());
    // `Quota::new` cannot fail here, because the limit and the window come from a valid quota.
    Quota::new(limit, quota.window()).unwrap_or(quota)
}

/// Returns the quota and the number that identify the shared log of a bucket.
fn log_key(BucketId([_, random]): BucketId, quota: Quota) -> (Quota, u64) {
    (quota, random % SHARED_LOGS)
}
