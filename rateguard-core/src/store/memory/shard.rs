//! A shard of the memory store. It holds a part of the buckets, and one lock protects the shard.

use super::{
    id::BucketLocation,
    overflow::{Overflow, SharedSlot},
    permits::PermitTable,
    table::Table,
};
use crate::{
    Quota,
    algorithm::{
        BucketState, Micros,
        concurrency::{HolderId, PermitSet},
    },
    key::{BanRecord, Bucket},
    store::{BucketRequest, BucketStatus},
    telemetry::mode::DecisionMode,
};

/// The capacity of each table of ban records is `max_keys` divided by this number, but at least [`MIN_BAN_RECORDS`].
/// There is one table for each [`BanRecord`]: for offences, past bans and active bans.
const KEYS_PER_BAN_RECORD: usize = 8;
const MIN_BAN_RECORDS: usize = 16;

/// Holds a part of the buckets of the store. The alignment is the size of a CPU cache line, so two shards never share
/// a cache line.
#[repr(align(64))]
pub(super) struct Shard {
    buckets: Table,
    /// The shared logs for the keys that find no room in `buckets`.
    overflow: Overflow,
    /// The permits of requests in progress.
    permits: PermitTable,
    /// The difference in microseconds between the time since 1970 and the time of the store. The store sets it for each
    /// operation on a quota with a calendar period.
    pub(super) to_unix: i64,
    /// The buckets of bans. Each [`BanRecord`] has its own table, so many new keys or many offences cannot displace a
    /// ban.
    bans: [Table; BanRecord::ALL.len()],
}

/// The state that an operation uses for one bucket. The state is already updated to the time of the operation.
pub(super) enum Slot<'a> {
    /// The bucket has its own state in a table.
    Own { state: &'a mut BucketState, quota: Quota },
    /// The bucket has permits.
    Permits { permits: &'a mut PermitSet, quota: Quota },
    /// The bucket uses a shared log together with other keys.
    Shared(SharedSlot<'a>),
    /// The bucket belongs to a ban, but the table of its ban record is full. The store therefore has no state for the
    /// bucket.
    NoBanRoom(BanRecord),
}

impl Slot<'_> {
    /// Returns the decision mode, which the guard reports in metrics and traces.
    pub(super) fn mode(&self) -> DecisionMode {
        if matches!(self, Self::Shared(_)) { DecisionMode::Overflow } else { DecisionMode::Store }
    }

    pub(super) fn has_room(&self, now: Micros, request: &BucketRequest<'_>) -> bool {
        let wait = match self {
            Self::Own { state, quota } => state.wait_for(*quota, now, request.cost),
            Self::Permits { permits, quota } => permits.wait_for(*quota, now, request.cost),
            // A shared log contains units of other keys, and the bucket itself may have no units. If a request only
            // reads the bucket, the units of other keys must not deny the request.
            Self::Shared(_) if request.check_only => Some(0),
            Self::Shared(slot) => slot.wait_for(now, request.cost),
            // A ban must not start if the table of active bans has no room for it. For the other ban records, the
            // request is admitted, but `add` does not count the units.
            Self::NoBanRoom(record) => return request.check_only || *record != BanRecord::Active,
        };
        wait == Some(0)
    }

    /// Returns true if only the units of other keys are the reason why the request does not fit. Call this method
    /// only if the request does not fit.
    pub(super) fn is_full_of_others(&self, request: &BucketRequest<'_>) -> bool {
        match self {
            Self::Shared(slot) => !request.check_only && slot.has_room_alone(request.cost),
            Self::Own { .. } | Self::Permits { .. } | Self::NoBanRoom(_) => false,
        }
    }

    /// Adds the units. `holder` is the id of the request, if the bucket has permits.
    pub(super) fn add(
        &mut self,
        now: Micros,
        units: u32,
        request: &BucketRequest<'_>,
        holder: HolderId,
    ) {
        match self {
            Self::Own { state, quota } => state.add(*quota, now, units),
            Self::Permits { permits, quota } => {
                permits.take(*quota, now, units, holder, !request.without_lease);
            }
            Self::Shared(slot) => slot.add(now, units),
            Self::NoBanRoom(_) => {}
        }
    }

    pub(super) fn status(&self, now: Micros, request: &BucketRequest<'_>) -> BucketStatus {
        let BucketRequest { quota, cost, check_only, .. } = *request;
        match self {
            Self::Own { state, quota } => state.status(*quota, now, cost),
            Self::Permits { permits, quota } => permits.status(*quota, now, cost),
            Self::Shared(slot) if !check_only => slot.status(now, cost),
            Self::Shared(_) | Self::NoBanRoom(_) => {
                BucketState::empty(quota.algorithm()).status(quota, now, cost)
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
            permits: PermitTable::default(),
            to_unix: 0,
            bans: BanRecord::ALL.map(|_| Table::new(max_records)),
        }
    }

    pub(super) fn keys(&self) -> usize {
        self.buckets.len() + self.permits.len() + self.bans.iter().map(Table::len).sum::<usize>()
    }

    pub(super) fn drop_expired(&mut self, now: Micros) {
        self.buckets.drop_expired(now);
    }

    /// Returns the table that stores the bucket, and the fallback for the case that this table is full.
    fn table(&mut self, bucket: Bucket<'_>, now: Micros) -> (&mut Table, FullTableFallback<'_>) {
        match BanRecord::of_name(bucket.name()) {
            None => (&mut self.buckets, FullTableFallback::Overflow(&mut self.overflow)),
            Some(record) => {
                let table = &mut self.bans[record as usize];
                table.drop_expired(now);
                (table, FullTableFallback::NoBan(record))
            }
        }
    }

    /// Updates the state of the request's bucket to the time `now`, calls `operation` with the state, and stores the
    /// state.
    pub(super) fn with_slot<R>(
        &mut self,
        location: BucketLocation,
        request: &BucketRequest<'_>,
        now: Micros,
        operation: impl FnOnce(&mut Slot<'_>) -> R,
    ) -> R {
        let (bucket, quota) = (request.bucket, request.quota);
        if quota.algorithm().has_permits() {
            return self.permits.with_permits(location.id, quota, now, |permits| {
                operation(&mut Slot::Permits { permits, quota })
            });
        }
        let to_unix = self.to_unix;
        let (table, mut fallback) = self.table(bucket, now);
        if let Some(entry) = table.get_mut(location.id) {
            entry.state.settle(quota, now, to_unix);
            let result = operation(&mut Slot::Own { state: &mut entry.state, quota });
            entry.update_expiry(quota);
            return result;
        }
        let network = bucket.key().network();
        if !table.has_room_for(network) {
            return operation(&mut fallback.slot(location, quota, now));
        }
        let mut state = fallback.new_state(location, quota, now);
        state.settle(quota, now, to_unix);
        let result = operation(&mut Slot::Own { state: &mut state, quota });
        table.insert(location.id, network, state, quota);
        result
    }

    /// Returns the status of the request's bucket. Changes nothing that a later request can observe.
    pub(super) fn peek(
        &mut self,
        location: BucketLocation,
        request: &BucketRequest<'_>,
        now: Micros,
    ) -> BucketStatus {
        let (bucket, quota) = (request.bucket, request.quota);
        if quota.algorithm().has_permits() {
            return self.permits.with_permits(location.id, quota, now, |permits| {
                permits.status(quota, now, request.cost)
            });
        }
        let to_unix = self.to_unix;
        let (table, mut fallback) = self.table(bucket, now);
        if let Some(entry) = table.get_mut(location.id) {
            return entry.state.peek(quota, now, to_unix, request.cost);
        }
        let network = bucket.key().network();
        if !table.has_room_for(network) {
            return fallback.slot(location, quota, now).status(now, request);
        }
        let mut state = fallback.new_state(location, quota, now);
        let status = state.peek(quota, now, to_unix, request.cost);
        table.insert(location.id, network, state, quota);
        status
    }

    pub(super) fn refund(
        &mut self,
        location: BucketLocation,
        request: &BucketRequest<'_>,
        now: Micros,
    ) {
        let (quota, units) = (request.quota, request.cost);
        let [_, holder, taken_at] = request.receipt.words();
        if quota.algorithm().has_permits() {
            self.permits
                .with_permits(location.id, quota, now, |permits| permits.release(units, holder));
            return;
        }
        let (table, fallback) = self.table(request.bucket, now);
        // If the table has no entry for the bucket, the units of the bucket may be in a shared log.
        if let Some(entry) = table.get_mut(location.id) {
            entry.state.refund(quota, now, units, taken_at);
        } else if let FullTableFallback::Overflow(overflow) = fallback {
            overflow.slot(location, quota, now).refund(now, units, taken_at);
        }
    }

    /// Returns whether the holder still has the permits of the request. Returns true for a bucket without permits.
    pub(super) fn is_held(
        &mut self,
        location: BucketLocation,
        request: &BucketRequest<'_>,
        now: Micros,
    ) -> bool {
        let (quota, [_, holder, _]) = (request.quota, request.receipt.words());
        !quota.algorithm().has_permits()
            || self.permits.with_permits(location.id, quota, now, |permits| {
                permits.is_held(request.cost, holder)
            })
    }

    /// Starts a new lease of the permits of the request.
    pub(super) fn renew(
        &mut self,
        location: BucketLocation,
        request: &BucketRequest<'_>,
        now: Micros,
    ) {
        let (quota, [_, holder, _]) = (request.quota, request.receipt.words());
        if quota.algorithm().has_permits() && request.cost > 0 {
            self.permits
                .with_permits(location.id, quota, now, |permits| permits.renew(quota, now, holder));
        }
    }

    pub(super) fn reset(
        &mut self,
        location: BucketLocation,
        request: &BucketRequest<'_>,
        now: Micros,
    ) {
        if request.quota.algorithm().has_permits() {
            self.permits.remove(location.id);
            return;
        }
        let (table, fallback) = self.table(request.bucket, now);
        if let Some(entry) = table.get_mut(location.id) {
            // Do not remove the entry from the table before it expires. The state may contain the time of the reset,
            // which a later refund needs.
            entry.state.reset(now);
        } else if let FullTableFallback::Overflow(overflow) = fallback {
            overflow.slot(location, request.quota, now).reset(now);
        }
    }
}

/// The fallback for a bucket that finds no room in its table, because the table is full.
enum FullTableFallback<'a> {
    /// A bucket of a quota uses a shared log, so the limit still applies to the key of the bucket.
    Overflow(&'a mut Overflow),
    /// A bucket of a ban is not stored. It cannot use a shared log, because one client must not be banned for the
    /// offences of another client.
    NoBan(BanRecord),
}

impl FullTableFallback<'_> {
    fn slot(&mut self, location: BucketLocation, quota: Quota, now: Micros) -> Slot<'_> {
        match self {
            Self::Overflow(overflow) => Slot::Shared(overflow.slot(location, quota, now)),
            Self::NoBan(record) => Slot::NoBanRoom(*record),
        }
    }

    /// Returns the initial state of a bucket that now finds room in the table. If the bucket has units in a shared log,
    /// these units move to the new state.
    fn new_state(&mut self, location: BucketLocation, quota: Quota, now: Micros) -> BucketState {
        let log = match self {
            Self::Overflow(overflow) => overflow.take(location, quota, now),
            Self::NoBan(_) => None,
        };
        log.map_or_else(|| BucketState::empty(quota.algorithm()), BucketState::SlidingWindow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Key, algorithm::Micros};

    use super::super::id::BucketId;

    const SECOND: Micros = 1_000_000;

    fn location(number: u64) -> BucketLocation {
        let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        BucketLocation { id: BucketId([random, random >> 32]), shard: 0 }
    }

    /// Checks a request that costs one unit. If the request is admitted, returns the remaining units.
    fn check(shard: &mut Shard, key: u64, quota: Quota, now: Micros) -> Option<u32> {
        shard.drop_expired(now);
        let any = Key::global();
        let request = BucketRequest::new(Bucket::new("p", 0, &any), quota, 1);
        shard.with_slot(location(key), &request, now, |slot| {
            slot.has_room(now, &request).then(|| {
                slot.add(now, 1, &request, 0);
                slot.status(now, &request).remaining
            })
        })
    }

    fn quota(rate: &str) -> Quota {
        rate.parse().unwrap()
    }

    #[test]
    fn checks_drop_expired_keys_without_a_timer() {
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
    fn repeated_use_keeps_one_entry_and_its_count() {
        let mut shard = Shard::new(10);
        let quota = quota("100/10s");
        for second in 0..1_000 {
            let live = second.min(9) as u32 + 1;
            assert_eq!(check(&mut shard, 1, quota, second * SECOND), Some(100 - live));
        }
        assert_eq!(shard.buckets.len(), 1);
    }

    #[test]
    fn key_flood_neither_resets_denied_key_nor_blocks_others() {
        let mut shard = Shard::new(100);
        let quota = quota("2/10s");
        let mut is_allowed = |key, at| check(&mut shard, key, quota, at).is_some();
        assert_eq!([is_allowed(0, 0), is_allowed(0, 0), is_allowed(0, 0)], [true, true, false]);

        let admitted = (1..10_000).filter(|key| is_allowed(*key, SECOND)).count();
        // The first 99 of these keys find room in the table, and each of them admits one request. The remaining keys
        // share logs.
        assert!((100..200).contains(&admitted), "{admitted}");
        assert!(!is_allowed(0, 2 * SECOND));
        // One window later, the buckets have expired, so there is room for another key.
        assert!(is_allowed(20_000, 12 * SECOND));
    }

    #[test]
    fn key_moves_its_units_from_the_shared_log_to_the_table() {
        let mut shard = Shard::new(1);
        let quota = quota("2/10s");
        check(&mut shard, 1, quota, 0);
        // The table is full, so key 2 uses a shared log.
        assert_eq!(check(&mut shard, 2, quota, 5 * SECOND), Some(1));
        // Now the table has room for key 2, but the earlier request in the shared log still counts.
        assert_eq!(check(&mut shard, 2, quota, 11 * SECOND), Some(0));
        assert!(shard.buckets.get_mut(location(2).id).is_some());
        assert_eq!(check(&mut shard, 2, quota, 14 * SECOND), None);
        assert_eq!(check(&mut shard, 2, quota, 15 * SECOND), Some(0));
    }
}
