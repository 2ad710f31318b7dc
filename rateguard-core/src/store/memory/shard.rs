//! One part of the keys, under one lock.

use super::{
    id::BucketSlot,
    overflow::{Overflow, SharedSlot},
    table::Table,
};
use crate::{
    Quota,
    algorithm::{Micros, BucketState},
    key::{BanRecord, Bucket},
    store::{BucketRequest, BucketStatus},
    telemetry::mode::DecisionMode,
};

/// Of each [`BanRecord`] there may be a bucket for every so many keys, and [`MIN_BAN_RECORDS`] of them at least.
const KEYS_PER_BAN_RECORD: usize = 8;
const MIN_BAN_RECORDS: usize = 16;

/// It begins a line of the processor's cache, so that who works in one shard does not slow down who works in the next.
#[repr(align(64))]
pub(super) struct Shard {
    buckets: Table,
    /// For the keys that found no room.
    overflow: Overflow,
    /// The buckets of bans, by their [`BanRecord`]. None of them takes room of another, or of what the quotas count, so fresh
    /// offences make no store forget a ban, and a flood of keys prevents none.
    bans: [Table; BanRecord::ALL.len()],
}

/// A settled state, own or shared, or none.
pub(super) enum Slot<'a> {
    Own {
        state: &'a mut BucketState,
        quota: Quota,
    },
    Shared(SharedSlot<'a>),
    /// A bucket of a ban, for which there is no room.
    NoBanRoom(BanRecord),
}

impl Slot<'_> {
    /// How it is decided here, for who looks on.
    pub(super) fn mode(&self) -> DecisionMode {
        let is_told = cfg!(any(feature = "metrics", feature = "tracing"));
        if is_told && matches!(self, Self::Shared(_)) {
            DecisionMode::Overflow
        } else {
            DecisionMode::Store
        }
    }

    pub(super) fn has_room(&self, now: Micros, charge: &BucketRequest<'_>) -> bool {
        let wait_for = match self {
            Self::Own { state, quota } => state.wait_for(*quota, now, charge.cost),
            // What somebody else has emptied closes the way to nobody else.
            Self::Shared(_) if charge.check_only => Some(0),
            Self::Shared(part) => part.wait_for(now, charge.cost),
            // A ban that cannot be kept does not begin. What only leads to bans is not counted.
            Self::NoBanRoom(record) => return charge.check_only || *record != BanRecord::Active,
        };
        wait_for == Some(0)
    }

    /// Whether a charge that has no room here would have it if the key shared its count with no other.
    pub(super) fn is_full_of_others(&self, charge: &BucketRequest<'_>) -> bool {
        match self {
            Self::Shared(part) => !charge.check_only && part.has_room_alone(charge.cost),
            Self::Own { .. } | Self::NoBanRoom(_) => false,
        }
    }

    pub(super) fn add(&mut self, now: Micros, units: u32) {
        match self {
            Self::Own { state, quota } => state.add(*quota, now, units),
            Self::Shared(part) => part.add(now, units),
            Self::NoBanRoom(_) => {}
        }
    }

    pub(super) fn status(&self, now: Micros, charge: &BucketRequest<'_>) -> BucketStatus {
        match self {
            Self::Own { state, quota } => state.status(*quota, now, charge.cost),
            Self::Shared(part) if !charge.check_only => part.status(now, charge.cost),
            Self::Shared(_) | Self::NoBanRoom(_) => {
                BucketState::empty(charge.quota.algorithm()).status(charge.quota, now, charge.cost)
            }
        }
    }
}

impl Shard {
    pub(super) fn new(max_keys: usize) -> Self {
        let max_records = (max_keys / KEYS_PER_BAN_RECORD).max(MIN_BAN_RECORDS);
        Self {
            buckets: Table::new(max_keys),
            overflow: Overflow::default(),
            bans: BanRecord::ALL.map(|_| Table::new(max_records)),
        }
    }

    #[cfg(feature = "metrics")]
    pub(super) fn keys(&self) -> usize {
        self.buckets.len() + self.bans.iter().map(Table::len).sum::<usize>()
    }

    pub(super) fn drop_expired(&mut self, now: Micros) {
        self.buckets.drop_expired(now);
    }

    /// The table of a bucket.
    fn table(&mut self, bucket: Bucket<'_>, now: Micros) -> (&mut Table, Kind<'_>) {
        match BanRecord::of_name(bucket.name()) {
            None => (&mut self.buckets, Kind::OfQuota(&mut self.overflow)),
            Some(record) => {
                let table = &mut self.bans[record as usize];
                table.drop_expired(now);
                (table, Kind::OfBan(record))
            }
        }
    }

    /// Settles what is kept for this charge, lets `act` decide and count, and keeps what comes of it.
    pub(super) fn act<R>(
        &mut self,
        seat: BucketSlot,
        charge: &BucketRequest<'_>,
        now: Micros,
        act: impl FnOnce(&mut Slot<'_>) -> R,
    ) -> R {
        let (bucket, quota) = (charge.bucket, charge.quota);
        let (table, mut kind) = self.table(bucket, now);
        if let Some(own) = table.get_mut(seat.id) {
            own.state.settle(quota, now);
            let result = act(&mut Slot::Own { state: &mut own.state, quota });
            own.changed(quota);
            return result;
        }
        let network = bucket.key().network();
        if !table.has_room_for(network) {
            return act(&mut kind.without_room(seat, quota, now));
        }
        let mut state = kind.new_state(seat, quota, now);
        state.settle(quota, now);
        let result = act(&mut Slot::Own { state: &mut state, quota });
        table.insert(seat.id, network, state, quota);
        result
    }

    /// How this seat stands, to somebody who asks for this.
    pub(super) fn peek(
        &mut self,
        seat: BucketSlot,
        charge: &BucketRequest<'_>,
        now: Micros,
    ) -> BucketStatus {
        let (bucket, quota) = (charge.bucket, charge.quota);
        let (table, mut kind) = self.table(bucket, now);
        if let Some(own) = table.get_mut(seat.id) {
            return own.state.peek(quota, now, charge.cost);
        }
        let network = bucket.key().network();
        if !table.has_room_for(network) {
            return kind.without_room(seat, quota, now).status(now, charge);
        }
        let mut state = kind.new_state(seat, quota, now);
        let level = state.peek(quota, now, charge.cost);
        table.insert(seat.id, network, state, quota);
        level
    }

    pub(super) fn refund(
        &mut self,
        seat: BucketSlot,
        charge: &BucketRequest<'_>,
        now: Micros,
        taken_at: Micros,
    ) {
        let (quota, units) = (charge.quota, charge.cost);
        let (table, kind) = self.table(charge.bucket, now);
        // What is counted in a shared log stays there until its key finds room.
        if let Some(own) = table.get_mut(seat.id) {
            own.state.refund(quota, now, units, taken_at);
        } else if let Kind::OfQuota(overflow) = kind {
            overflow.part(seat, quota, now).refund(now, units, taken_at);
        }
    }

    pub(super) fn reset(&mut self, seat: BucketSlot, charge: &BucketRequest<'_>, now: Micros) {
        let (table, kind) = self.table(charge.bucket, now);
        if let Some(own) = table.get_mut(seat.id) {
            // It leaves when it would have, as its entry among the expiries says.
            own.state.reset(now);
        } else if let Kind::OfQuota(overflow) = kind {
            overflow.part(seat, charge.quota, now).reset(now);
        }
    }
}

/// What a bucket is of, which says what happens without room for it.
enum Kind<'a> {
    OfQuota(&'a mut Overflow),
    OfBan(BanRecord),
}

impl Kind<'_> {
    fn without_room(&mut self, seat: BucketSlot, quota: Quota, now: Micros) -> Slot<'_> {
        match self {
            Self::OfQuota(overflow) => Slot::Shared(overflow.part(seat, quota, now)),
            Self::OfBan(record) => Slot::NoBanRoom(*record),
        }
    }

    /// A state for a bucket that finds room. What was admitted while there was none still counts.
    fn new_state(&mut self, seat: BucketSlot, quota: Quota, now: Micros) -> BucketState {
        let taken = match self {
            Self::OfQuota(overflow) => overflow.take(seat, quota, now),
            Self::OfBan(_) => None,
        };
        taken.map_or_else(|| BucketState::empty(quota.algorithm()), BucketState::SlidingWindow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Key, algorithm::Micros};

    use super::super::id::BucketId;

    const SECOND: Micros = 1_000_000;

    fn seat(number: u64) -> BucketSlot {
        let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        BucketSlot { id: BucketId([random, random >> 32]), shard: 0 }
    }

    /// What is left after one more, if it is admitted.
    fn check(shard: &mut Shard, key: u64, quota: Quota, now: Micros) -> Option<u32> {
        shard.drop_expired(now);
        let any = Key::global();
        let charge = BucketRequest::new(Bucket::new("p", 0, &any), quota, 1);
        shard.act(seat(key), &charge, now, |slot| {
            slot.has_room(now, &charge).then(|| {
                slot.add(now, 1);
                slot.status(now, &charge).remaining
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
    }

    #[test]
    fn a_key_that_is_used_again_and_again_keeps_one_entry_and_its_count() {
        let mut shard = Shard::new(10);
        let quota = quota("100/10s");
        for second in 0..1_000 {
            let live = second.min(9) as u32 + 1;
            assert_eq!(check(&mut shard, 1, quota, second * SECOND), Some(100 - live));
        }
        assert_eq!(shard.buckets.len(), 1);
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
        assert!(shard.buckets.get_mut(seat(2).id).is_some());
        assert_eq!(check(&mut shard, 2, quota, 14 * SECOND), None);
        assert_eq!(check(&mut shard, 2, quota, 15 * SECOND), Some(0));
    }
}
