//! One part of the keys, under one lock.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, binary_heap::PeekMut},
};

use super::{id::BucketId, overflow::Overflow};
use crate::{
    Decision, Quota,
    algorithm::{Micros, State},
};

/// How many expired buckets a check drops at most: more than the one that it can add.
const DROPPED_PER_CHECK: usize = 2;

pub(super) struct Shard {
    max_keys: usize,
    buckets: HashMap<BucketId, Own>,
    /// One entry for each bucket, at a time when it may have expired and not before.
    expiries: BinaryHeap<Reverse<(Micros, BucketId)>>,
    /// For the keys that found no room.
    overflow: Overflow,
}

struct Own {
    state: State,
    expires_at: Micros,
}

impl Shard {
    pub(super) fn new(max_keys: usize) -> Self {
        Self {
            max_keys,
            buckets: HashMap::new(),
            expiries: BinaryHeap::new(),
            overflow: Overflow::default(),
        }
    }

    pub(super) fn check(&mut self, id: BucketId, hash: u64, quota: Quota, now: Micros) -> Decision {
        self.drop_expired(now);

        if let Some(own) = self.buckets.get_mut(&id) {
            let decision = own.state.check(quota, now);
            own.expires_at = own.state.expires_at(quota);
            return decision;
        }
        if self.buckets.len() >= self.max_keys {
            return self.overflow.check(id, hash, quota, now);
        }
        // What was admitted while there was no room still counts.
        let mut state = match self.overflow.take(id, hash, quota, now) {
            Some(log) => State::SlidingWindow(log),
            None => State::empty(quota.algorithm()),
        };
        let decision = state.check(quota, now);
        let expires_at = state.expires_at(quota);
        self.buckets.insert(id, Own { state, expires_at });
        self.expiries.push(Reverse((expires_at, id)));
        decision
    }

    fn drop_expired(&mut self, now: Micros) {
        for _ in 0..DROPPED_PER_CHECK {
            let Some(mut first) = self.expiries.peek_mut() else { return };
            let Reverse((at, id)) = *first;
            if at > now {
                return;
            }
            match self.buckets.get(&id) {
                // Admitted again since: it moves to its new place when `first` is dropped.
                Some(own) if own.expires_at > now => *first = Reverse((own.expires_at, id)),
                _ => {
                    PeekMut::pop(first);
                    self.buckets.remove(&id);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::DIGEST_BYTES;

    const SECOND: Micros = 1_000_000;

    fn id(number: u64) -> BucketId {
        BucketId { name: number, digest: [0; DIGEST_BYTES] }
    }

    fn quota(rate: &str) -> Quota {
        rate.parse().unwrap()
    }

    #[test]
    fn expired_keys_go_without_a_timer() {
        let mut shard = Shard::new(1_000);
        for key in 0..1_000 {
            shard.check(id(key), key, quota("1/10s"), key);
        }
        assert_eq!(shard.buckets.len(), 1_000);
        for check in 0..500 {
            shard.check(id(5_000), 0, quota("1/10s"), 20 * SECOND + check);
        }
        assert_eq!(shard.buckets.len(), 1);
        assert_eq!(shard.expiries.len(), 1);
    }

    #[test]
    fn a_key_that_is_used_again_and_again_keeps_one_entry_and_its_count() {
        let mut shard = Shard::new(10);
        let quota = quota("100/10s");
        for second in 0..1_000 {
            let decision = shard.check(id(1), 1, quota, second * SECOND);
            let live = second.min(9) as u32 + 1;
            assert_eq!(decision.remaining(), 100 - live);
        }
        assert_eq!(shard.expiries.len(), 1);
    }

    #[test]
    fn a_flood_of_keys_frees_nobody_and_does_not_shut_out_all_others() {
        let mut shard = Shard::new(100);
        let quota = quota("2/10s");
        let mut check =
            |key: u64, at| shard.check(id(key), key.wrapping_mul(0x9e37_79b9_7f4a_7c15), quota, at);
        assert!(check(0, 0).is_allowed());
        assert!(check(0, 0).is_allowed());
        assert!(!check(0, 0).is_allowed());

        let admitted = (1..10_000).filter(|key| check(*key, SECOND).is_allowed()).count();
        // 99 keys have logs of their own; the others share.
        assert!((100..200).contains(&admitted), "{admitted}");
        assert!(!check(0, 2 * SECOND).is_allowed());
        // The next window has room for others again.
        assert!(check(20_000, 12 * SECOND).is_allowed());
    }

    #[test]
    fn a_key_that_finds_room_takes_its_requests_along() {
        let mut shard = Shard::new(1);
        let quota = quota("2/10s");
        shard.check(id(1), 1, quota, 0);
        // No room: it is counted in a shared log.
        assert!(shard.check(id(2), 2, quota, 5 * SECOND).is_allowed());
        // Room: the shared request still counts.
        assert_eq!(shard.check(id(2), 2, quota, 11 * SECOND).remaining(), 0);
        assert!(shard.buckets.contains_key(&id(2)));
        assert!(!shard.check(id(2), 2, quota, 14 * SECOND).is_allowed());
        assert!(shard.check(id(2), 2, quota, 15 * SECOND).is_allowed());
    }
}
