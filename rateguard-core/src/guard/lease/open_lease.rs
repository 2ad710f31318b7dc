//! The units of one lease, which this process uses.

use std::time::{Duration, Instant};

use crate::{
    Algorithm, Quota, QuotaLease, backoff::Backoff, guard::clock_margin::clock_margin,
    store::Receipt,
};

/// The part of a lease after which this process returns its units. So the return usually arrives before the lease ends
/// in the store.
pub(super) const RETURN_AFTER_PART: (u32, u32) = (2, 3);

/// The delays between the attempts to return a lease.
const RETURN_BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(100), Duration::from_secs(5), 0.25);

/// The maximum time after the end of a lease for which the process tries to return it. So the leases of many keys do
/// not stay in memory while the store does not answer.
const MAX_RETURN_TIME: Duration = Duration::from_secs(60);

/// The units of one lease, which this process uses. The lock of its shard protects it: a check reads the clock and
/// takes the unit under this lock, and a task or a reset that ends the lease removes it under this lock.
pub(super) struct OpenLease {
    /// The number of the lease in this process.
    pub(super) number: u64,
    pub(super) quota: Quota,
    pub(super) receipt: Receipt,
    /// The number of units of the lease.
    pub(super) units: u32,
    /// The time directly before the guard sent the request for the lease. The store granted it later, so the lease ends
    /// later in the store than a lease that starts at this time.
    sent_at: Instant,
    /// The time from which no unit may be used.
    until: Instant,
    /// An upper bound of the time at which the lease ends in the store.
    ends_by: Instant,
    margin: Duration,
    /// For each unit that was used, an upper bound of the time of its use, in microseconds after the grant.
    uses: Vec<u32>,
    return_backoff: Backoff,
}

impl OpenLease {
    /// Creates a lease that the store granted between these two times.
    pub(super) fn new(
        (number, quota, lease): (u64, Quota, QuotaLease),
        units: u32,
        receipt: Receipt,
        sent_at: Instant,
        received_at: Instant,
    ) -> Self {
        let (duration, margin) = (lease.duration(), clock_margin(lease.duration()));
        Self {
            number,
            quota,
            receipt,
            units,
            sent_at,
            until: sent_at + duration - margin,
            ends_by: received_at + duration,
            margin,
            uses: Vec::with_capacity(units as usize),
            return_backoff: RETURN_BACKOFF,
        }
    }

    /// Uses this number of units at the time `now`. Returns false, and uses none, if fewer units are left or if the
    /// lease has ended.
    pub(super) fn take(&mut self, units: u32, now: Instant) -> bool {
        if now >= self.until || units > self.unused() {
            return false;
        }
        let after = now.saturating_duration_since(self.sent_at) + self.margin;
        // A lease lasts at most 10 seconds, so the number fits into 32 bits.
        let after = u32::try_from(after.as_micros()).unwrap_or(u32::MAX).max(1);
        self.uses.extend(std::iter::repeat_n(after, units as usize));
        true
    }

    /// Returns true if no unit can be used any more.
    pub(super) fn is_unusable(&self, now: Instant) -> bool {
        now >= self.until || self.unused() == 0
    }

    pub(super) fn used(&self) -> u32 {
        // The list never has more entries than the lease has units.
        self.uses.len() as u32
    }

    pub(super) fn unused(&self) -> u32 {
        self.units - self.used()
    }

    pub(super) fn uses(&self) -> &[u32] {
        &self.uses
    }

    /// Returns an upper bound of the time until the store has room for this number of units. In a log, the units of the
    /// lease count until one window after its end. A token bucket regains its tokens after the end of the lease.
    pub(super) fn time_until_room(&self, units: u32, now: Instant) -> Duration {
        let after_end = match self.quota.algorithm() {
            Algorithm::TokenBucket => {
                let (parts_per_token, refill) = self.quota.token();
                let tokens = u64::from(units.min(self.quota.capacity()));
                Duration::from_micros((tokens * parts_per_token).div_ceil(refill))
            }
            Algorithm::SlidingWindow
            | Algorithm::SlidingWindowCounter
            | Algorithm::FixedWindow
            | Algorithm::Concurrency
            | Algorithm::Calendar => self.quota.window(),
        };
        (self.ends_by + after_end).saturating_duration_since(now)
    }

    /// Returns the time at which the process returns the lease.
    pub(super) fn return_at(&self) -> Instant {
        let (part, parts) = RETURN_AFTER_PART;
        self.sent_at + (self.until - self.sent_at) * part / parts
    }

    /// Returns the time at which the process tries again to return the lease, after the return has failed at the time
    /// `now`. `None` if the process gives up.
    pub(super) fn retry_return_at(&mut self, now: Instant) -> Option<Instant> {
        let at = now + self.return_backoff.next_delay();
        // The return of a token bucket has no effect after the end of the lease.
        let useful_for = match self.quota.algorithm() {
            Algorithm::TokenBucket => Duration::ZERO,
            _ => self.quota.window().min(MAX_RETURN_TIME),
        };
        (at < self.ends_by + useful_for).then_some(at)
    }

    /// Forgets all uses, because the counts of the key are reset. The return then removes all units.
    pub(super) fn forget_uses(&mut self) {
        self.uses.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(units: u32, sent_at: Instant) -> OpenLease {
        let quota: Quota = "1000/minute lease 100 for 1s".parse().unwrap();
        let of = (1, quota, quota.lease().unwrap());
        OpenLease::new(of, units, Receipt::default(), sent_at, sent_at + Duration::from_millis(5))
    }

    #[test]
    fn unit_is_used_until_the_margin_before_the_end_of_the_lease() {
        let sent_at = Instant::now();
        let at = |millis| sent_at + Duration::from_millis(millis);
        let mut lease = lease(3, sent_at);
        assert!(lease.take(1, at(0)) && lease.take(1, at(989)));
        assert_eq!(lease.uses(), [10_000, 999_000]);
        assert!(
            !lease.take(1, at(990)) && lease.is_unusable(at(990)) && !lease.is_unusable(at(989))
        );
        assert_eq!((lease.used(), lease.unused()), (2, 1));
        assert_eq!(lease.time_until_room(1, at(5)), Duration::from_secs(61));
    }

    #[test]
    fn token_bucket_has_room_after_the_lease_and_the_refill() {
        let quota: Quota = "10/second token_bucket burst 20 lease 5 for 250ms".parse().unwrap();
        let (now, millis) = (Instant::now(), Duration::from_millis);
        let of = (1, quota, quota.lease().unwrap());
        let lease = OpenLease::new(of, 5, Receipt::default(), now, now + millis(50));
        for (units, after) in [(0, 300), (1, 400), (3, 600), (20, 2_300), (21, 2_300)] {
            assert_eq!(lease.time_until_room(units, now), millis(after), "{units}");
        }
        assert_eq!(lease.time_until_room(1, now + millis(401)), Duration::ZERO);
    }

    #[test]
    fn request_for_more_units_than_are_left_uses_none() {
        let now = Instant::now();
        let mut lease = lease(3, now);
        assert!(!lease.take(4, now) && lease.take(2, now) && !lease.take(2, now));
        assert_eq!(lease.unused(), 1);
        lease.forget_uses();
        assert!(lease.uses().is_empty());
    }

    #[test]
    fn return_is_tried_again_for_one_minute_after_the_lease() {
        let sent_at = Instant::now();
        let after = |millis| sent_at + Duration::from_millis(millis);
        let mut lease = lease(3, sent_at);
        assert!(lease.retry_return_at(sent_at).unwrap() <= after(125));
        assert!(lease.retry_return_at(after(50_000)).unwrap() >= after(50_150));
        assert_eq!(lease.retry_return_at(after(61_000)), None);
    }
}
