//! Stores buckets in a table with a maximum size, and divides the capacity fairly among the networks of the keys.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, binary_heap::PeekMut, hash_map::Entry},
};

use super::id::BucketId;
use crate::{
    Quota, Quotas,
    algorithm::{BucketState, Micros},
    key::KeyNetwork,
    keyed_hash::HashedMap,
};

/// The maximum number of expired buckets that one check drops. A check may add one bucket for each quota of a policy.
/// This maximum is twice the maximum number of quotas, so a check can drop more buckets than it adds.
const MAX_DROPPED_PER_CHECK: usize = 2 * Quotas::MAX;

/// The time for which an expired bucket stays in the table, if the table has room. For example, a token bucket with a
/// fast refill expires soon after each request. Without this time, the store would create a new bucket for almost
/// every request.
const EXPIRY_GRACE: Micros = 1_000_000;

/// The maximum ratio between the number of buckets of one network and the number of free buckets.
///
/// This rule is the dynamic threshold of A. Choudhury and E. Hahne ("Dynamic queue length thresholds for
/// shared-memory packet switches", 1998). If n networks use their maximum, a fraction of 1/(4n + 1) of the capacity
/// remains free. A single network can use four fifths of the capacity, which is `max`. A network that has no buckets
/// therefore almost always finds room.
const MAX_HELD_PER_FREE: usize = 4;

/// Stores buckets by their ids. The table also stores the expiry of each bucket, and the number of buckets of each
/// network.
pub(super) struct Table {
    /// The maximum number of buckets of one network. All keys without a network together count as one network.
    max: usize,
    /// The maximum number of buckets of all networks together. It is a quarter larger than `max`.
    capacity: usize,
    buckets: HashedMap<BucketId, BucketEntry>,
    /// This heap has one item for each bucket. The time of an item is never later than the expiry of its bucket, so the
    /// table finds each expired bucket.
    expiries: BinaryHeap<Reverse<(Micros, BucketId)>>,
    /// The number of buckets of each network. There is no entry for a network without buckets.
    held: HashMap<KeyNetwork, u32>,
}

/// A bucket that is in the table and therefore has its own state, instead of a shared log.
pub(super) struct BucketEntry {
    pub(super) state: BucketState,
    expires_at: Micros,
    network: KeyNetwork,
}

impl BucketEntry {
    /// Updates the expiry after the state has changed.
    pub(super) fn update_expiry(&mut self, quota: Quota) {
        self.expires_at = self.state.expires_at(quota);
    }
}

impl Table {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            capacity: max + max.div_ceil(MAX_HELD_PER_FREE),
            buckets: HashedMap::default(),
            expiries: BinaryHeap::new(),
            held: HashMap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.buckets.len()
    }

    pub(super) fn get_mut(&mut self, id: BucketId) -> Option<&mut BucketEntry> {
        self.buckets.get_mut(&id)
    }

    /// Returns true if the table has room for one more bucket of this network.
    pub(super) fn has_room_for(&self, network: KeyNetwork) -> bool {
        let used = self.buckets.len();
        let max_held = self.max.min(MAX_HELD_PER_FREE * self.capacity.saturating_sub(used));
        // If all networks together have fewer buckets than the maximum for one network, this network also has fewer,
        // and its number of buckets need not be looked up.
        used < max_held || self.held.get(&network).copied().unwrap_or(0) < max_held as u32
    }

    /// Adds a bucket to the table if at least one unit of the bucket counts.
    pub(super) fn insert(
        &mut self,
        id: BucketId,
        network: KeyNetwork,
        state: BucketState,
        quota: Quota,
    ) {
        if state.is_empty(quota) {
            return;
        }
        let expires_at = state.expires_at(quota);
        *self.held.entry(network).or_default() += 1;
        self.buckets.insert(id, BucketEntry { state, expires_at, network });
        self.expiries.push(Reverse((expires_at, id)));
    }

    /// Drops expired buckets, but at most [`MAX_DROPPED_PER_CHECK`] of them.
    pub(super) fn drop_expired(&mut self, now: Micros) {
        for _ in 0..MAX_DROPPED_PER_CHECK {
            let has_room = self.buckets.len() + MAX_DROPPED_PER_CHECK < self.max;
            let grace = if has_room { EXPIRY_GRACE } else { 0 };
            match self.expiries.peek() {
                Some(Reverse((at, _))) if at.saturating_add(grace) <= now => {}
                _ => return,
            }
            let Some(mut first) = self.expiries.peek_mut() else { return };
            let Reverse((_, id)) = *first;
            match self.buckets.get(&id) {
                // A request has extended the expiry of this bucket after the item was added. Update the time of the
                // item. When `first` is dropped, the heap moves the item to its new position.
                Some(bucket) if bucket.expires_at > now => {
                    *first = Reverse((bucket.expires_at, id));
                }
                _ => {
                    PeekMut::pop(first);
                    self.remove(id);
                }
            }
        }
    }

    fn remove(&mut self, id: BucketId) {
        let Some(bucket) = self.buckets.remove(&id) else { return };
        if let Entry::Occupied(mut held) = self.held.entry(bucket.network) {
            *held.get_mut() -= 1;
            if *held.get() == 0 {
                held.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota() -> Quota {
        "1/10s".parse().unwrap()
    }

    fn network(number: u8) -> KeyNetwork {
        KeyNetwork::of([10, number, 0, 0].into())
    }

    /// Adds buckets of this network until the table has no room for it. Returns the number of added buckets.
    fn fill(table: &mut Table, from: u64, network: KeyNetwork) -> usize {
        let mut added = 0;
        while table.has_room_for(network) {
            let mut state = BucketState::empty(quota().algorithm());
            state.add(quota(), 0, 1);
            table.insert(BucketId([0, from + added as u64]), network, state, quota());
            added += 1;
        }
        added
    }

    #[test]
    fn flooding_networks_leave_room_for_others() {
        for max in [1, 2, 7, 64, 1_563] {
            assert_eq!(fill(&mut Table::new(max), 0, KeyNetwork::UNKNOWN), max);
            let mut table = Table::new(max);
            assert_eq!(fill(&mut table, 0, network(1)), max);
            let second = fill(&mut table, 1 << 32, network(2));
            assert!(second >= max.div_ceil(5), "{max}: {second}");
            assert_eq!(fill(&mut table, 2 << 32, network(3)) > 0, max >= 64);
            assert!(table.len() <= table.capacity);
        }
    }

    #[test]
    fn expired_buckets_make_room_for_their_network() {
        let mut table = Table::new(64);
        assert_eq!(fill(&mut table, 0, network(1)), 64);
        assert_eq!(table.held.len(), 1);
        (0..64).for_each(|_| table.drop_expired(20_000_000));
        assert_eq!((table.len(), table.held.len()), (0, 0));
        assert_eq!(fill(&mut table, 1_000, network(1)), 64);
    }
}
