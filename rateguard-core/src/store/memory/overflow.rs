//! Shared logs for the keys that found no room for a state of their own.

use std::collections::{HashMap, VecDeque, hash_map::Entry};

use super::id::{BucketId, BucketSlot};
use crate::{
    Algorithm, Quota,
    algorithm::{LimiterState, Micros, BucketState, sliding_window::SlidingWindowLog},
    keyed_hash::HashedMap,
    store::BucketStatus,
};

/// How many logs the keys of one quota share in each shard.
const SHARED_LOGS: u64 = 16;

/// A bounded number of logs for an unbounded number of keys.
///
/// The keys of one log are together held to the limit that each of them has, so nobody gets more than its limit. (A check
/// of several quotas may find room for a state of its own, and then none for all of them; so a log may hold a few more.)
#[derive(Default)]
pub(super) struct Overflow {
    logs: HashMap<(Quota, u64), SharedLog>,
    sweep_at: usize,
}

struct SharedLog {
    log: BucketState,
    /// Whose the entries of the log are, the oldest first.
    shares: VecDeque<Share>,
    /// How many units of the shares each owner has.
    units: HashedMap<BucketId, u32>,
}

struct Share {
    owner: BucketId,
    at: Micros,
    units: u32,
}

impl Overflow {
    /// One key's part of a shared log.
    pub(super) fn part(&mut self, seat: BucketSlot, quota: Quota, now: Micros) -> SharedSlot<'_> {
        let shared_quota = shared_quota(quota);
        self.drop_expired(now);
        let shared = self.logs.entry(place(seat.id, shared_quota)).or_insert_with(|| SharedLog {
            log: BucketState::empty(Algorithm::SlidingWindow),
            shares: VecDeque::new(),
            units: HashedMap::default(),
        });
        shared.log.settle(shared_quota, now);
        shared.drop_expired(shared_quota, now);
        SharedSlot { shared, owner: seat.id, quota: shared_quota, asked: quota }
    }

    /// Drops the logs in which nothing counts any more, each time that there are twice as many as were left then.
    fn drop_expired(&mut self, now: Micros) {
        if self.logs.len() >= self.sweep_at {
            self.logs.retain(|(quota, _), shared| shared.log.expires_at(*quota) > now);
            self.sweep_at = (2 * self.logs.len()).max(4 * SHARED_LOGS as usize);
        }
    }

    /// A log with what this key was admitted here, which leaves; `None` if it was nothing.
    pub(super) fn take(&mut self, seat: BucketSlot, quota: Quota, now: Micros) -> Option<SlidingWindowLog> {
        let quota = shared_quota(quota);
        let place = place(seat.id, quota);
        let shared = self.logs.get_mut(&place)?;
        if shared.log.expires_at(quota) <= now {
            self.logs.remove(&place);
            return None;
        }
        let mut taken = None;
        shared.leave(seat.id, quota, now, |share| {
            taken.get_or_insert_with(SlidingWindowLog::default).add(quota, share.at, share.units);
        });
        taken
    }
}

impl SharedLog {
    /// Drops the shares that no longer count.
    fn drop_expired(&mut self, quota: Quota, now: Micros) {
        let window = quota.window_micros();
        while let Some(&Share { owner, at, units }) = self.shares.front()
            && at + window <= now
        {
            self.shares.pop_front();
            self.take_units(owner, units);
        }
    }

    fn units_of(&self, owner: BucketId) -> u32 {
        self.units.get(&owner).copied().unwrap_or(0)
    }

    /// Counts so many units less as this owner's.
    fn take_units(&mut self, owner: BucketId, units: u32) {
        if let Entry::Occupied(mut left) = self.units.entry(owner) {
            *left.get_mut() = left.get().saturating_sub(units);
            if *left.get() == 0 {
                left.remove();
            }
        }
    }

    /// Takes out all that is this owner's.
    fn leave(&mut self, owner: BucketId, quota: Quota, now: Micros, mut each: impl FnMut(&Share)) {
        let Self { log, shares, units } = self;
        if units.remove(&owner).is_none() {
            return;
        }
        shares.retain(|share| {
            if share.owner != owner {
                return true;
            }
            log.refund(quota, now, share.units, share.at);
            each(share);
            false
        });
    }
}

/// One key's part of a shared log, which is settled.
pub(super) struct SharedSlot<'a> {
    shared: &'a mut SharedLog,
    owner: BucketId,
    /// That of the log.
    quota: Quota,
    /// The key's own.
    asked: Quota,
}

impl SharedSlot<'_> {
    pub(super) fn wait_for(&self, now: Micros, units: u32) -> Option<Micros> {
        self.shared.log.wait_for(self.quota, now, units).or_else(|| self.retry_next_window(units))
    }

    /// Whether there would be room for so many units if they were the owner's log alone.
    pub(super) fn has_room_alone(&self, units: u32) -> bool {
        self.shared.units_of(self.owner).saturating_add(units) <= self.quota.capacity()
    }

    pub(super) fn add(&mut self, now: Micros, units: u32) {
        if units == 0 {
            return;
        }
        self.shared.log.add(self.quota, now, units);
        let units = units.min(self.quota.capacity());
        let owned = self.shared.units.entry(self.owner).or_default();
        *owned = owned.saturating_add(units);
        self.shared.shares.push_back(Share { owner: self.owner, at: now, units });
    }

    pub(super) fn status(&self, now: Micros, units: u32) -> BucketStatus {
        let mut level = self.shared.log.status(self.quota, now, units);
        if level.retry_after.is_none() {
            level.retry_after = self.retry_next_window(units).map(std::time::Duration::from_micros);
        }
        level
    }

    pub(super) fn refund(&mut self, now: Micros, units: u32, taken_at: Micros) {
        let mut left = units;
        for share in &mut self.shared.shares {
            if share.owner == self.owner && share.at == taken_at {
                let back = left.min(share.units);
                share.units -= back;
                left -= back;
            }
        }
        self.shared.take_units(self.owner, units - left);
        self.shared.shares.retain(|share| share.units > 0);
        self.shared.log.refund(self.quota, now, units - left, taken_at);
    }

    pub(super) fn reset(&mut self, now: Micros) {
        self.shared.leave(self.owner, self.quota, now, |_| {});
    }

    /// What a burst has room for and a shared log has not may have it a window later, with a state of its own.
    fn retry_next_window(&self, units: u32) -> Option<Micros> {
        (units <= self.asked.max_cost()).then(|| self.quota.window_micros())
    }
}

/// The quota of a shared log, whatever the algorithm: what a sliding window admits under it, each of them would. A
/// bucket's burst is not for all windows.
fn shared_quota(quota: Quota) -> Quota {
    let limit = quota.limit().min(quota.capacity());
    // Limit and window are those of a legal quota.
    Quota::new(limit, quota.window()).unwrap_or(quota)
}

fn place(BucketId([_, random]): BucketId, quota: Quota) -> (Quota, u64) {
    (quota, random % SHARED_LOGS)
}
