//! A bounded number of buckets, shared out fairly among the networks that their keys come from.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, binary_heap::PeekMut, hash_map::Entry},
};

use super::id::BucketId;
use crate::{
    Quota, Quotas,
    algorithm::{Micros, BucketState},
    key::KeyNetwork,
    keyed_hash::HashedMap,
};

/// How many expired buckets a check drops at most: more than the quotas of a policy, each of which may add one.
const DROPPED_PER_CHECK: usize = 2 * Quotas::MAX;

/// How long an expired bucket is kept while there is room: of a fast token bucket each request would else make a new one.
const EXPIRY_GRACE: Micros = 1_000_000;

/// A network may hold this many times as many buckets as there are free ones.
///
/// That is the dynamic threshold of A. Choudhury and E. Hahne ("Dynamic queue length thresholds for shared-memory packet
/// switches", 1998): n networks that take all they can at once leave a part of 1/(4n + 1) free for all others, and each
/// that comes later a fifth of what is free. So one network that floods takes four fifths, which is `max`, and a network
/// that holds nothing finds room.
const HELD_PER_FREE: usize = 4;

/// Buckets by their numbers, the networks that hold them, and when they expire.
pub(super) struct Table {
    /// How many buckets one network may hold, and all keys without a network together.
    max: usize,
    /// How many buckets there may be: `max`, and a quarter of it more.
    capacity: usize,
    buckets: HashedMap<BucketId, Own>,
    /// One entry for each bucket, at a time when it may have expired and not before.
    expiries: BinaryHeap<Reverse<(Micros, BucketId)>>,
    /// How many buckets each network holds. Networks that hold none are not in it.
    held: HashMap<KeyNetwork, u32>,
}

/// A bucket with a state of its own.
pub(super) struct Own {
    pub(super) state: BucketState,
    expires_at: Micros,
    network: KeyNetwork,
}

impl Own {
    /// Notes that the state has changed.
    pub(super) fn changed(&mut self, quota: Quota) {
        self.expires_at = self.state.expires_at(quota);
    }
}

impl Table {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            capacity: max + max.div_ceil(HELD_PER_FREE),
            buckets: HashedMap::default(),
            expiries: BinaryHeap::new(),
            held: HashMap::new(),
        }
    }

    #[cfg(any(feature = "metrics", test))]
    pub(super) fn len(&self) -> usize {
        self.buckets.len()
    }

    pub(super) fn get_mut(&mut self, id: BucketId) -> Option<&mut Own> {
        self.buckets.get_mut(&id)
    }

    /// Whether there is room for one more bucket of this network.
    pub(super) fn has_room_for(&self, network: KeyNetwork) -> bool {
        let used = self.buckets.len();
        let most = self.max.min(HELD_PER_FREE * self.capacity.saturating_sub(used));
        // A network holds no more than there are, which spares the search as long as there is plenty of room.
        used < most || self.held.get(&network).copied().unwrap_or(0) < most as u32
    }

    /// Adds a bucket, if there is anything in it.
    pub(super) fn insert(&mut self, id: BucketId, network: KeyNetwork, state: BucketState, quota: Quota) {
        if state.is_empty(quota) {
            return;
        }
        let expires_at = state.expires_at(quota);
        *self.held.entry(network).or_default() += 1;
        self.buckets.insert(id, Own { state, expires_at, network });
        self.expiries.push(Reverse((expires_at, id)));
    }

    /// Drops a few of the buckets that have expired.
    pub(super) fn drop_expired(&mut self, now: Micros) {
        for _ in 0..DROPPED_PER_CHECK {
            let has_room = self.buckets.len() + DROPPED_PER_CHECK < self.max;
            let lingers = if has_room { EXPIRY_GRACE } else { 0 };
            match self.expiries.peek() {
                Some(Reverse((at, _))) if at.saturating_add(lingers) <= now => {}
                _ => return,
            }
            let Some(mut first) = self.expiries.peek_mut() else { return };
            let Reverse((_, id)) = *first;
            match self.buckets.get(&id) {
                // Admitted again since: it moves to its new place when `first` is dropped.
                Some(own) if own.expires_at > now => *first = Reverse((own.expires_at, id)),
                _ => {
                    PeekMut::pop(first);
                    self.remove(id);
                }
            }
        }
    }

    fn remove(&mut self, id: BucketId) {
        let Some(own) = self.buckets.remove(&id) else { return };
        if let Entry::Occupied(mut held) = self.held.entry(own.network) {
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

    /// Adds buckets of a network until there is no room; how many there were.
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
    fn networks_that_flood_leave_room_for_others() {
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
    fn expired_buckets_of_a_network_make_room_for_it() {
        let mut table = Table::new(64);
        assert_eq!(fill(&mut table, 0, network(1)), 64);
        assert_eq!(table.held.len(), 1);
        (0..64).for_each(|_| table.drop_expired(20_000_000));
        assert_eq!((table.len(), table.held.len()), (0, 0));
        assert_eq!(fill(&mut table, 1_000, network(1)), 64);
    }
}
