//! Limits the number of requests that are in progress at the same time. Each of these requests holds a permit.
//!
//! A permit expires at the end of its lease, so that the permits of a crashed process do not stay taken. The lease
//! ends at `[renewal + lease]` on the clock of the store, and the holder renews it earlier. A renewal never revives a
//! permit that has expired, because another request may have taken its place. So at each time of the store's clock, at
//! most `limit` permits are valid.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use super::{Micros, micros};
use crate::{Quota, bucket_status::BucketStatus};

/// The id of the request that holds a permit. It is unique in the store.
pub(crate) type HolderId = u64;

/// The permits of one bucket.
#[derive(Debug, Default)]
pub(crate) struct PermitSet {
    /// The permits, ordered by their expiry.
    by_expiry: BTreeMap<(Micros, HolderId), Permits>,
    /// The expiry of the permits of each holder.
    expiries: HashMap<HolderId, Micros>,
    /// The number of permits that have not expired.
    used: u64,
}

/// The permits that one request holds. A request of a guard holds one permit. A caller of the store can take more.
#[derive(Clone, Copy, Debug)]
struct Permits {
    count: u32,
    lease: Micros,
}

/// The expiry of a permit that never expires.
const NEVER: Micros = Micros::MAX;

impl PermitSet {
    /// Removes the permits that have expired. If the clock was set back, a lease ends at most one lease from now.
    pub(crate) fn settle(&mut self, quota: Quota, now: Micros) {
        while let Some(first) = self.by_expiry.first_entry()
            && first.key().0 <= now
        {
            let ((_, id), permits) = first.remove_entry();
            self.expiries.remove(&id);
            self.used -= u64::from(permits.count);
        }
        let too_late = (now + micros(quota) + 1, 0)..(NEVER, 0);
        let late: Vec<_> = self.by_expiry.range(too_late).map(|(key, _)| *key).collect();
        for (expiry, id) in late {
            // The quota of another process can have a longer lease, which stays valid.
            let Some(permits) = self.by_expiry.remove(&(expiry, id)) else { continue };
            self.insert(expiry.min(now + permits.lease), id, permits);
        }
    }

    /// Returns the number of permits that are held. Call [`settle`](Self::settle) first.
    pub(crate) fn used(&self) -> u32 {
        u32::try_from(self.used).unwrap_or(u32::MAX)
    }

    /// Returns the time until `permits` more permits fit if no lease is renewed, or `None` if they never fit. A permit
    /// that never expires counts as renewed now. Call [`settle`](Self::settle) first.
    pub(crate) fn wait_for(&self, quota: Quota, now: Micros, permits: u32) -> Option<Micros> {
        match permits {
            0 => Some(0),
            _ if permits > quota.max_cost() => None,
            _ => Some(self.wait_for_any(quota, now, permits)),
        }
    }

    /// Does the same as [`wait_for`](Self::wait_for), but for a number of permits that can be above the maximum cost.
    fn wait_for_any(&self, quota: Quota, now: Micros, permits: u32) -> Micros {
        let sum = self.used + u64::from(permits);
        let mut excess = sum.saturating_sub(quota.capacity().into());
        if excess == 0 {
            return 0;
        }
        let mut wait = micros(quota);
        for ((expiry, _), permits) in &self.by_expiry {
            wait = if *expiry == NEVER { permits.lease } else { expiry - now };
            excess = excess.saturating_sub(permits.count.into());
            if excess == 0 {
                break;
            }
        }
        wait
    }

    /// Takes permits, even if there is no room. `expires` is false for permits that stay taken until their release.
    pub(crate) fn take(
        &mut self,
        quota: Quota,
        now: Micros,
        count: u32,
        id: HolderId,
        expires: bool,
    ) {
        // Permits above the limit would not change any wait, because all permits of a request expire together.
        let count = count.min(quota.capacity());
        if count > 0 {
            let lease = micros(quota);
            self.used += u64::from(count);
            self.insert(if expires { now + lease } else { NEVER }, id, Permits { count, lease });
        }
    }

    /// Releases up to `count` permits of this holder.
    pub(crate) fn release(&mut self, count: u32, id: HolderId) {
        let Some(expiry) = self.expiries.get(&id).copied() else { return };
        let Some(permits) = self.by_expiry.get_mut(&(expiry, id)) else { return };
        let released = count.min(permits.count);
        permits.count -= released;
        self.used -= u64::from(released);
        if permits.count == 0 {
            self.by_expiry.remove(&(expiry, id));
            self.expiries.remove(&id);
        }
    }

    /// Returns whether this holder still has `count` permits. Call [`settle`](Self::settle) first.
    pub(crate) fn is_held(&self, count: u32, id: HolderId) -> bool {
        let expiry = self.expiries.get(&id);
        let permits = expiry.and_then(|expiry| self.by_expiry.get(&(*expiry, id)));
        permits.map_or(0, |permits| permits.count) >= count
    }

    /// Renews the lease of this holder: the new lease starts now. Does nothing if the holder has no permit.
    pub(crate) fn renew(&mut self, quota: Quota, now: Micros, id: HolderId) {
        let Some(expiry) = self.expiries.get(&id).copied() else { return };
        let Some(permits) = self.by_expiry.remove(&(expiry, id)) else { return };
        let lease = micros(quota);
        let renewed = if expiry == NEVER { NEVER } else { now + lease };
        self.insert(renewed, id, Permits { lease, ..permits });
    }

    /// Returns the status of the bucket for a request that takes `permits` permits. Call [`settle`](Self::settle) first.
    pub(crate) fn status(&self, quota: Quota, now: Micros, permits: u32) -> BucketStatus {
        let remaining = quota.capacity().saturating_sub(self.used());
        let reset = match self.used {
            0 => 0,
            _ => self.wait_for_any(quota, now, remaining + 1),
        };
        BucketStatus {
            remaining,
            reset_after: Duration::from_micros(reset),
            retry_after: self.wait_for(quota, now, permits).map(Duration::from_micros),
        }
    }

    fn insert(&mut self, expiry: Micros, id: HolderId, permits: Permits) {
        self.by_expiry.insert((expiry, id), permits);
        self.expiries.insert(id, expiry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;

    fn quota(text: &str) -> Quota {
        text.parse().unwrap()
    }

    fn take(set: &mut PermitSet, quota: Quota, now: Micros, id: HolderId) -> bool {
        set.settle(quota, now);
        let has_room = set.wait_for(quota, now, 1) == Some(0);
        if has_room {
            set.take(quota, now, 1, id, true);
        }
        has_room
    }

    fn renew(set: &mut PermitSet, quota: Quota, now: Micros, id: HolderId) -> bool {
        set.settle(quota, now);
        let is_held = set.is_held(1, id);
        set.renew(quota, now, id);
        is_held
    }

    #[test]
    fn permits_come_back_at_release_or_at_the_end_of_their_lease() {
        let quota = quota("2 concurrent");
        let mut set = PermitSet::default();
        assert!(take(&mut set, quota, 0, 1));
        assert!(take(&mut set, quota, SECOND, 2));
        assert!(!take(&mut set, quota, 2 * SECOND, 3));
        set.release(1, 2);
        set.release(1, 2);
        assert!(take(&mut set, quota, 2 * SECOND, 4));
        assert!(!take(&mut set, quota, 10 * SECOND - 1, 5));
        assert_eq!(set.wait_for(quota, 10 * SECOND - 1, 1), Some(1));
        assert!(take(&mut set, quota, 10 * SECOND, 6));
    }

    #[test]
    fn renewal_extends_a_valid_permit_and_revives_no_expired_one() {
        let quota = quota("1 concurrent");
        let mut set = PermitSet::default();
        assert!(take(&mut set, quota, 0, 1));
        assert!(renew(&mut set, quota, 9 * SECOND, 1));
        assert!(!take(&mut set, quota, 18 * SECOND, 2));
        assert!(!renew(&mut set, quota, 19 * SECOND, 1));
        assert!(take(&mut set, quota, 19 * SECOND, 3));
        assert!(!renew(&mut set, quota, 20 * SECOND, 1));
        // The release of an expired permit does not release the permit of another holder.
        set.release(1, 1);
        assert_eq!(set.used(), 1);
    }

    #[test]
    fn clock_that_was_set_back_prolongs_no_lease() {
        let (short, long) = (quota("3 concurrent"), quota("3 concurrent lease 60s"));
        let mut set = PermitSet::default();
        assert!(take(&mut set, short, 100 * SECOND, 1));
        assert!(take(&mut set, long, 100 * SECOND, 2));
        set.settle(short, 0);
        set.settle(short, 10 * SECOND);
        assert!(!set.is_held(1, 1) && set.is_held(1, 2));
        set.settle(short, 60 * SECOND);
        assert_eq!(set.used(), 0);
    }

    #[test]
    fn permit_without_expiry_stays_until_its_release() {
        let quota = quota("1 concurrent");
        let mut set = PermitSet::default();
        set.take(quota, 0, 1, 1, false);
        set.settle(quota, 1_000 * SECOND);
        assert_eq!(set.wait_for(quota, 1_000 * SECOND, 1), Some(10 * SECOND));
        assert!(renew(&mut set, quota, 1_000 * SECOND, 1));
        set.settle(quota, 2_000 * SECOND);
        assert_eq!(set.status(quota, 2_000 * SECOND, 1).remaining, 0);
        set.release(1, 1);
        assert_eq!(set.status(quota, 2_000 * SECOND, 1).remaining, 1);
    }
}
