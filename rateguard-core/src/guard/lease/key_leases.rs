//! The leases of one key under one policy, and the rule that decides when this process requests a lease.

use std::time::{Duration, Instant};

use super::open_lease::OpenLease;
use crate::{Quota, QuotaLease, policy::PolicyName};

/// The number of admissions by the store, within the duration of a lease, after which a key is busy enough for a lease.
const BUSY_ADMISSIONS: u32 = 8;

/// The number of remaining units that are necessary for each unit of a lease. So several processes find room for their
/// leases, and the last units are taken one by one.
const ROOM_PER_UNIT: u32 = 4;

/// The minimum number of units of a lease. A smaller lease would save no calls, because it needs a grant and a return.
const MIN_UNITS: u32 = 4;

/// The leases of one key under one policy.
pub(super) struct KeyLeases {
    pub(super) policy: PolicyName,
    pub(super) quota: Quota,
    lease: QuotaLease,
    /// The lease whose units are used first, and the lease whose units are used next.
    open: [Option<OpenLease>; 2],
    /// The leases whose units are no longer used, and that the process has not returned yet.
    ended: Vec<OpenLease>,
    /// The leases whose return has failed. The process tries again later.
    unreturned: Vec<OpenLease>,
    /// Whether a request for a lease has no reply yet.
    is_requested: bool,
    /// The number of admissions since the time `since`: by the store, or by the last lease if its time has ended.
    admissions: u32,
    /// The number of units that these admissions took.
    admitted_units: u32,
    since: Instant,
    /// The process requests no lease before this time.
    not_before: Instant,
    /// The number of remaining units when the store last replied.
    room: u32,
}

/// The messages to the store that are necessary after an event: the return of leases, and the request for a lease.
#[derive(Default)]
pub(super) struct LeaseJob {
    pub(super) returned: Vec<OpenLease>,
    /// The number of units of the requested lease. 0 if no lease is requested.
    pub(super) requested: u32,
}

impl LeaseJob {
    pub(super) fn is_empty(&self) -> bool {
        self.returned.is_empty() && self.requested == 0
    }
}

/// The state of the leases after a request used units of them, as the decision reports it.
pub(super) struct LeaseStatus {
    /// The number of unused units of this process.
    pub(super) remaining: u32,
    /// An upper bound of the time until one more unit remains.
    pub(super) reset_after: Duration,
    /// An upper bound of the time until another request with the same cost can be admitted.
    pub(super) retry_after: Duration,
}

impl KeyLeases {
    pub(super) fn new(policy: PolicyName, quota: Quota, lease: QuotaLease, now: Instant) -> Self {
        Self {
            policy,
            quota,
            lease,
            open: [None, None],
            ended: Vec::new(),
            unreturned: Vec::new(),
            is_requested: false,
            admissions: 0,
            admitted_units: 0,
            since: now,
            not_before: now,
            room: 0,
        }
    }

    /// Uses units of the open leases. Returns `None` if they have too few units.
    pub(super) fn take(&mut self, units: u32, now: Instant) -> Option<LeaseStatus> {
        while self.open[0].as_ref().is_some_and(|lease| lease.is_unusable(now)) {
            self.end_first();
        }
        if let [Some(first), Some(second)] = &self.open
            && first.unused() < units
            && second.unused() >= units
        {
            // Do not let the store decide: it may have no room for this request, because it counts the units of both
            // leases.
            self.end_first();
        }
        if !self.open[0].as_mut()?.take(units, now) {
            return None;
        }
        let remaining = self.unused();
        // In a log, one more unit remains after the units of the first lease have expired. A token bucket may have no
        // free token until the last lease ends.
        let last = match &self.open {
            [_, Some(second)] if self.quota.algorithm().counts_parts() => second,
            [first, _] => first.as_ref()?,
        };
        let retry_after =
            if remaining >= units { Duration::ZERO } else { last.time_until_room(units, now) };
        Some(LeaseStatus {
            remaining,
            reset_after: last.time_until_room(remaining + 1, now),
            retry_after,
        })
    }

    /// Records that the store has admitted a request of this key with this cost.
    pub(super) fn record_admission(&mut self, cost: u32, room: u32, now: Instant) {
        self.forget_old_admissions(now);
        // A lease cannot admit requests that cost nothing, or more than its units. So they do not count.
        if (1..=self.lease.units()).contains(&cost) {
            self.admissions = self.admissions.saturating_add(1);
            self.admitted_units = self.admitted_units.saturating_add(cost);
        }
        self.room = room;
    }

    /// Returns the messages that are necessary after a request was admitted.
    pub(super) fn next_job(&mut self, now: Instant) -> LeaseJob {
        self.forget_old_admissions(now);
        // Redis stores each unit, so a key with few requests must not cause a large lease. A lease has at most twice as
        // many units as the process needed before.
        let units = match &self.open {
            [Some(first), None] if first.used() >= first.unused() => first.units,
            [None, _] if self.admissions >= BUSY_ADMISSIONS => self.admitted_units,
            _ => 0,
        };
        let requested = self.start_request(units.saturating_mul(2), now);
        // The ended leases are returned together with the request for a new lease, because this saves a call to the
        // store. They are also returned now if the process neither has nor requests a lease. Otherwise, `end` returns
        // them later.
        let is_idle = self.open[0].is_none() && !self.is_requested;
        let returned =
            if requested > 0 || is_idle { std::mem::take(&mut self.ended) } else { Vec::new() };
        LeaseJob { returned, requested }
    }

    /// Ends the lease with this number, because its time has come, and returns the messages that are necessary. This
    /// method requests no new lease: if the process has used many units, the next request of the key causes a new one.
    /// If there is no such request, the key is no longer busy, or its policy has changed.
    pub(super) fn end(&mut self, number: u64, now: Instant) -> LeaseJob {
        let is_it =
            |lease: &Option<OpenLease>| lease.as_ref().is_some_and(|it| it.number == number);
        if let Some(index) = self.open.iter().position(is_it) {
            let used = self.open[index].as_ref().map_or(0, OpenLease::used);
            // The units of the first lease are used before those of the second one, so both are ended.
            for _ in 0..=index {
                self.end_first();
            }
            if self.open[0].is_none() {
                (self.since, self.admissions, self.admitted_units) = (now, used, used);
            }
        }
        LeaseJob { returned: std::mem::take(&mut self.ended), requested: 0 }
    }

    /// Ends all leases. Returns all leases that the store still has.
    pub(super) fn end_all(&mut self) -> Vec<OpenLease> {
        while self.open[0].is_some() {
            self.end_first();
        }
        self.ended.append(&mut self.unreturned);
        std::mem::take(&mut self.ended)
    }

    /// Adds a lease whose return has failed.
    pub(super) fn add_unreturned(&mut self, lease: OpenLease) {
        self.unreturned.push(lease);
    }

    /// Returns a job that returns the lease with this number, if its return has failed, and it was not returned since.
    pub(super) fn retry_return(&mut self, number: u64) -> LeaseJob {
        let index = self.unreturned.iter().position(|it| it.number == number);
        let returned = index.map(|index| self.unreturned.swap_remove(index)).into_iter().collect();
        LeaseJob { returned, requested: 0 }
    }

    /// Adds a lease that the store has granted. Gives it back if two leases are open already.
    #[must_use]
    pub(super) fn add(&mut self, lease: OpenLease, room: u32) -> Option<OpenLease> {
        (self.is_requested, self.room) = (false, room);
        match self.open.iter_mut().find(|it| it.is_none()) {
            Some(free) => {
                *free = Some(lease);
                None
            }
            None => Some(lease),
        }
    }

    /// Records that the store has granted no lease. The process requests none during `pause`.
    pub(super) fn record_denied_lease(&mut self, room: Option<u32>, pause: Duration, now: Instant) {
        self.is_requested = false;
        self.room = room.unwrap_or(self.room);
        self.not_before = now + pause;
    }

    /// Returns true if the entry has no lease and the key is no longer busy.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        let is_quiet = now.saturating_duration_since(self.since) > self.lease.duration();
        let has_ended = !self.ended.is_empty() || !self.unreturned.is_empty();
        is_quiet && !has_ended && self.open[0].is_none() && !self.is_requested
    }

    /// Returns the number of unused units.
    pub(super) fn unused(&self) -> u32 {
        self.open.iter().flatten().map(OpenLease::unused).sum()
    }

    fn forget_old_admissions(&mut self, now: Instant) {
        if now.saturating_duration_since(self.since) > self.lease.duration() {
            (self.since, self.admissions, self.admitted_units) = (now, 0, 0);
        }
    }

    /// Returns the number of units of a request for a lease, or 0 if none should be requested now.
    fn start_request(&mut self, max: u32, now: Instant) -> u32 {
        let units = max.min(self.lease.units()).min(self.room / ROOM_PER_UNIT);
        if self.is_requested || now < self.not_before || units < MIN_UNITS.min(self.lease.units()) {
            return 0;
        }
        (self.is_requested, self.admissions, self.admitted_units) = (true, 0, 0);
        units
    }

    fn end_first(&mut self) {
        self.open.swap(0, 1);
        self.ended.extend(self.open[1].take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Receipt;

    fn leases(now: Instant) -> KeyLeases {
        let quota: Quota = "1000/minute lease 20 for 1s".parse().unwrap();
        KeyLeases::new(PolicyName::of("p"), quota, quota.lease().unwrap(), now)
    }

    fn open(leases: &KeyLeases, number: u64, units: u32, at: Instant) -> OpenLease {
        OpenLease::new((number, leases.quota, leases.lease), units, Receipt::default(), at, at)
    }

    fn admit(leases: &mut KeyLeases, times: u32, room: u32, now: Instant) -> u32 {
        (0..times)
            .map(|_| {
                leases.record_admission(1, room, now);
                leases.next_job(now).requested
            })
            .sum()
    }

    #[test]
    fn lease_is_requested_once_when_the_key_is_busy() {
        let now = Instant::now();
        let mut slow = leases(now);
        for second in 0..100 {
            assert_eq!(admit(&mut slow, 4, 900, now + Duration::from_secs(2 * second)), 0);
        }
        let mut busy = leases(now);
        assert_eq!(admit(&mut busy, 7, 900, now), 0);
        assert_eq!(admit(&mut busy, 1, 900, now), 16);
        assert_eq!(admit(&mut busy, 50, 900, now), 0);
        busy.record_denied_lease(None, Duration::from_secs(1), now);
        assert_eq!(admit(&mut busy, 50, 900, now + Duration::from_millis(999)), 0);
        assert_eq!(admit(&mut busy, 1, 900, now + Duration::from_secs(1)), 20);
    }

    #[test]
    fn lease_has_enough_units_for_the_costs_of_the_requests_or_is_not_requested() {
        let now = Instant::now();
        for (cost, expected) in [(0, 0), (1, 16), (2, 20), (20, 20), (21, 0)] {
            let mut leases = leases(now);
            (0..8).for_each(|_| leases.record_admission(cost, 900, now));
            assert_eq!(leases.next_job(now).requested, expected, "{cost}");
        }
    }

    #[test]
    fn lease_shrinks_with_the_room_until_units_are_taken_one_by_one() {
        let now = Instant::now();
        for (room, expected) in [(900, 16), (64, 16), (63, 15), (16, 4), (15, 0), (0, 0)] {
            assert_eq!(admit(&mut leases(now), 8, room, now), expected, "{room}");
        }
    }

    #[test]
    fn next_lease_is_requested_when_half_is_used_and_ended_leases_go_with_it() {
        let now = Instant::now();
        let mut leases = leases(now);
        admit(&mut leases, 8, 900, now);
        let first = open(&leases, 1, 4, now);
        assert!(leases.add(first, 900).is_none());
        for (remaining, requested) in [(3, 0), (2, 8)] {
            assert_eq!(leases.take(1, now).unwrap().remaining, remaining);
            assert_eq!(leases.next_job(now).requested, requested);
        }
        let second = open(&leases, 2, 4, now);
        assert!(leases.add(second, 900).is_none());
        for remaining in [5, 4, 3] {
            assert_eq!(leases.take(1, now).unwrap().remaining, remaining);
            assert!(leases.next_job(now).is_empty());
        }
        assert!(leases.take(1, now).is_some());
        let job = leases.next_job(now);
        assert_eq!((job.requested, job.returned.len(), job.returned[0].number), (8, 1, 1));
        assert!(leases.take(3, now).is_none());
        assert!(leases.take(2, now).is_some() && leases.take(1, now).is_none());
    }

    #[test]
    fn waits_depend_on_the_algorithm() {
        let now = Instant::now();
        let millis = Duration::from_millis;
        for (quota, reset_after, retry_after) in [
            ("20/second lease 5 for 100ms", millis(1_100), millis(1_100)),
            // The second lease ends 200 ms from now. Then a token comes back each 50 ms.
            ("20/second token_bucket lease 5 for 100ms", millis(450), millis(250)),
        ] {
            let quota: Quota = quota.parse().unwrap();
            let mut leases =
                KeyLeases::new(PolicyName::of("p"), quota, quota.lease().unwrap(), now);
            for (number, at) in [(1, now), (2, now + millis(100))] {
                let lease = open(&leases, number, 3, at);
                assert!(leases.add(lease, 900).is_none());
            }
            let used = leases.take(2, now).unwrap();
            assert_eq!((used.remaining, used.retry_after), (4, Duration::ZERO), "{quota}");
            assert_eq!(used.reset_after, reset_after, "{quota}");
            leases.open[1].as_mut().unwrap().take(3, now);
            let used = leases.take(1, now).unwrap();
            assert_eq!((used.remaining, used.retry_after), (0, retry_after), "{quota}");
            assert_eq!(used.reset_after, retry_after, "{quota}");
        }
    }

    #[test]
    fn lease_that_ends_is_never_used_again() {
        let now = Instant::now();
        let mut leases = leases(now);
        let first = open(&leases, 1, 20, now);
        assert!(leases.add(first, 900).is_none());
        assert!(leases.take(1, now).is_some());
        let job = leases.end(1, now);
        assert_eq!((job.requested, job.returned.len()), (0, 1));
        assert!(leases.take(1, now).is_none() && leases.end(1, now).is_empty());
        let second = open(&leases, 2, 20, now);
        assert!(leases.add(second, 900).is_none());
        assert!(leases.take(10, now).is_some());
        // The first request after a lease whose units were used requests a new lease.
        let job = leases.end(2, now);
        assert_eq!((job.requested, job.returned.len()), (0, 1));
        assert!(leases.take(1, now).is_none());
        assert_eq!(leases.next_job(now).requested, 20);
        let third = open(&leases, 3, 20, now);
        assert!(leases.add(third, 900).is_none());
        let late = now + Duration::from_secs(1);
        assert!(leases.take(1, late).is_none());
        assert_eq!(leases.next_job(late).returned.len(), 1);
        assert!(leases.is_idle(now + Duration::from_secs(5)));
    }

    #[test]
    fn key_without_requests_after_a_lease_requests_no_lease() {
        let now = Instant::now();
        let mut leases = leases(now);
        let lease = open(&leases, 1, 20, now);
        assert!(leases.add(lease, 900).is_none() && leases.take(15, now).is_some());
        assert_eq!(leases.end(1, now).requested, 0);
        assert_eq!(leases.next_job(now + Duration::from_secs(2)).requested, 0);
    }

    #[test]
    fn request_uses_the_next_lease_if_the_first_one_has_too_few_units() {
        let now = Instant::now();
        let mut leases = leases(now);
        for number in [1, 2] {
            let lease = open(&leases, number, 4, now);
            assert!(leases.add(lease, 900).is_none());
        }
        assert!(leases.take(5, now).is_none());
        assert_eq!(leases.take(3, now).unwrap().remaining, 5);
        assert_eq!(leases.take(3, now).unwrap().remaining, 1);
        assert_eq!(leases.next_job(now).returned[0].number, 1);
    }

    #[test]
    fn lease_whose_return_failed_is_returned_once() {
        let now = Instant::now();
        let mut leases = leases(now);
        for number in [1, 2, 3] {
            let lease = open(&leases, number, 4, now);
            leases.add_unreturned(lease);
        }
        assert!(leases.next_job(now).is_empty() && !leases.is_idle(now + Duration::from_secs(9)));
        assert_eq!(leases.retry_return(2).returned.len(), 1);
        assert!(leases.retry_return(2).is_empty());
        assert_eq!(leases.end_all().len(), 2);
        assert!(leases.retry_return(1).is_empty());
    }
}
