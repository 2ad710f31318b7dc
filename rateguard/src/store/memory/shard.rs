//! One part of the keys, under one lock.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, binary_heap::PeekMut},
    hash::BuildHasherDefault,
};

use super::{
    id::{AsItIs, BucketId, Seat},
    overflow::{Overflow, Part},
};
use crate::{
    Quota, Quotas,
    algorithm::{Micros, State},
    mode::Mode,
    store::{Charge, Level},
};

/// How many expired buckets a check drops at most: more than the quotas of a policy, each of which may add one.
const DROPPED_PER_CHECK: usize = 2 * Quotas::MAX;

/// How long an expired bucket is kept while there is room: of a fast token bucket each request would else make a new one.
const LINGERS: Micros = 1_000_000;

/// It begins a line of the processor's cache, so that who works in one shard does not slow down who works in the next.
#[repr(align(64))]
pub(super) struct Shard {
    max_keys: usize,
    buckets: HashMap<BucketId, Own, BuildHasherDefault<AsItIs>>,
    /// One entry for each bucket, at a time when it may have expired and not before.
    expiries: BinaryHeap<Reverse<(Micros, BucketId)>>,
    /// For the keys that found no room.
    overflow: Overflow,
}

struct Own {
    state: State,
    expires_at: Micros,
}

/// A settled state, own or shared.
pub(super) enum Slot<'a> {
    Own { state: &'a mut State, quota: Quota },
    Shared(Part<'a>),
}

impl Slot<'_> {
    /// How it is decided here, for who looks on.
    pub(super) fn mode(&self) -> Mode {
        let is_told = cfg!(any(feature = "metrics", feature = "tracing"));
        if is_told && matches!(self, Self::Shared(_)) { Mode::Overflow } else { Mode::Store }
    }

    pub(super) fn has_room(&self, now: Micros, charge: &Charge<'_>) -> bool {
        let until_room = match self {
            Self::Own { state, quota } => state.until_room(*quota, now, charge.cost),
            // What somebody else has emptied closes the way to nobody else.
            Self::Shared(_) if charge.is_gate => Some(0),
            Self::Shared(part) => part.until_room(now, charge.cost),
        };
        until_room == Some(0)
    }

    pub(super) fn add(&mut self, now: Micros, units: u32) {
        match self {
            Self::Own { state, quota } => state.add(*quota, now, units),
            Self::Shared(part) => part.add(now, units),
        }
    }

    pub(super) fn level(&self, now: Micros, charge: &Charge<'_>) -> Level {
        match self {
            Self::Own { state, quota } => state.level(*quota, now, charge.cost),
            Self::Shared(_) if charge.is_gate => {
                State::empty(charge.quota.algorithm()).level(charge.quota, now, charge.cost)
            }
            Self::Shared(part) => part.level(now, charge.cost),
        }
    }
}

impl Shard {
    pub(super) fn new(max_keys: usize) -> Self {
        Self {
            max_keys,
            buckets: HashMap::default(),
            expiries: BinaryHeap::new(),
            overflow: Overflow::default(),
        }
    }

    #[cfg(feature = "metrics")]
    pub(super) fn keys(&self) -> usize {
        self.buckets.len()
    }

    /// Settles what is kept for this seat, lets `act` decide and count, and keeps what comes of it.
    pub(super) fn act<R>(
        &mut self,
        seat: Seat,
        quota: Quota,
        now: Micros,
        act: impl FnOnce(&mut Slot<'_>) -> R,
    ) -> R {
        if let Some(own) = self.buckets.get_mut(&seat.id) {
            own.state.settle(quota, now);
            let result = act(&mut Slot::Own { state: &mut own.state, quota });
            own.expires_at = own.state.expires_at(quota);
            return result;
        }
        if self.buckets.len() >= self.max_keys {
            return act(&mut Slot::Shared(self.overflow.part(seat, quota, now)));
        }
        let mut state = self.newcomer(seat, quota, now);
        state.settle(quota, now);
        let result = act(&mut Slot::Own { state: &mut state, quota });
        self.keep(seat, state, quota);
        result
    }

    /// How this seat stands, to somebody who asks for this.
    pub(super) fn peek(&mut self, seat: Seat, charge: &Charge<'_>, now: Micros) -> Level {
        let quota = charge.quota;
        if let Some(own) = self.buckets.get_mut(&seat.id) {
            return own.state.peek(quota, now, charge.cost);
        }
        if self.buckets.len() >= self.max_keys {
            return Slot::Shared(self.overflow.part(seat, quota, now)).level(now, charge);
        }
        let mut state = self.newcomer(seat, quota, now);
        let level = state.peek(quota, now, charge.cost);
        self.keep(seat, state, quota);
        level
    }

    pub(super) fn give_back(
        &mut self,
        seat: Seat,
        quota: Quota,
        now: Micros,
        units: u32,
        taken_at: Micros,
    ) {
        // What is counted in a shared log stays there until its key finds room.
        if let Some(own) = self.buckets.get_mut(&seat.id) {
            own.state.give_back(quota, now, units, taken_at);
        } else {
            self.overflow.part(seat, quota, now).give_back(now, units, taken_at);
        }
    }

    pub(super) fn reset(&mut self, seat: Seat, quota: Quota, now: Micros) {
        if let Some(own) = self.buckets.get_mut(&seat.id) {
            // It leaves when it would have, as its entry among the expiries says.
            own.state.reset(now);
        } else {
            self.overflow.part(seat, quota, now).reset(now);
        }
    }

    /// A state for a key that finds room. What was admitted while there was none still counts.
    fn newcomer(&mut self, seat: Seat, quota: Quota, now: Micros) -> State {
        match self.overflow.take(seat, quota, now) {
            Some(log) => State::SlidingWindow(log),
            None => State::empty(quota.algorithm()),
        }
    }

    /// Keeps a newcomer's state, if there is anything in it.
    fn keep(&mut self, seat: Seat, state: State, quota: Quota) {
        if !state.is_empty(quota) {
            let expires_at = state.expires_at(quota);
            self.buckets.insert(seat.id, Own { state, expires_at });
            self.expiries.push(Reverse((expires_at, seat.id)));
        }
    }

    pub(super) fn drop_expired(&mut self, now: Micros) {
        for _ in 0..DROPPED_PER_CHECK {
            let has_room = self.buckets.len() + DROPPED_PER_CHECK < self.max_keys;
            let lingers = if has_room { LINGERS } else { 0 };
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
                    self.buckets.remove(&id);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Key, bucket::Bucket};

    const SECOND: Micros = 1_000_000;

    fn seat(number: u64) -> Seat {
        let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Seat { id: BucketId([random, random >> 32]), shard: 0 }
    }

    /// What is left after one more, if it is admitted.
    fn check(shard: &mut Shard, key: u64, quota: Quota, now: Micros) -> Option<u32> {
        shard.drop_expired(now);
        let any = Key::global();
        let charge = Charge::new(Bucket::new("p", 0, &any), quota, 1);
        shard.act(seat(key), quota, now, |slot| {
            slot.has_room(now, &charge).then(|| {
                slot.add(now, 1);
                slot.level(now, &charge).remaining
            })
        })
    }

    fn quota(rate: &str) -> Quota {
        rate.parse().unwrap()
    }

    #[test]
    fn expired_keys_go_without_a_timer() {
        let mut shard = Shard::new(1_000);
        for key in 0..1_000 {
            check(&mut shard, key, quota("1/10s"), key);
        }
        assert_eq!(shard.buckets.len(), 1_000);
        for later in 0..500 {
            check(&mut shard, 5_000, quota("1/10s"), 20 * SECOND + later);
        }
        assert_eq!(shard.buckets.len(), 1);
        assert_eq!(shard.expiries.len(), 1);
    }

    #[test]
    fn a_key_that_is_used_again_and_again_keeps_one_entry_and_its_count() {
        let mut shard = Shard::new(10);
        let quota = quota("100/10s");
        for second in 0..1_000 {
            let live = second.min(9) as u32 + 1;
            assert_eq!(check(&mut shard, 1, quota, second * SECOND), Some(100 - live));
        }
        assert_eq!(shard.expiries.len(), 1);
    }

    #[test]
    fn a_flood_of_keys_frees_nobody_and_does_not_shut_out_all_others() {
        let mut shard = Shard::new(100);
        let quota = quota("2/10s");
        let mut is_allowed = |key, at| check(&mut shard, key, quota, at).is_some();
        assert_eq!([is_allowed(0, 0), is_allowed(0, 0), is_allowed(0, 0)], [true, true, false]);

        let admitted = (1..10_000).filter(|key| is_allowed(*key, SECOND)).count();
        // 99 keys have logs of their own; the others share.
        assert!((100..200).contains(&admitted), "{admitted}");
        assert!(!is_allowed(0, 2 * SECOND));
        // The next window has room for others again.
        assert!(is_allowed(20_000, 12 * SECOND));
    }

    #[test]
    fn a_key_that_finds_room_takes_its_requests_along() {
        let mut shard = Shard::new(1);
        let quota = quota("2/10s");
        check(&mut shard, 1, quota, 0);
        // No room: it is counted in a shared log.
        assert_eq!(check(&mut shard, 2, quota, 5 * SECOND), Some(1));
        // Room: the shared request still counts.
        assert_eq!(check(&mut shard, 2, quota, 11 * SECOND), Some(0));
        assert!(shard.buckets.contains_key(&seat(2).id));
        assert_eq!(check(&mut shard, 2, quota, 14 * SECOND), None);
        assert_eq!(check(&mut shard, 2, quota, 15 * SECOND), Some(0));
    }
}
