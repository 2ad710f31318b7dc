//! Records the calls in flight: the script calls that a dispatcher has sent and that have no reply yet.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{batch_queue::Priority, pending_request::PendingRequest};

/// A server counts as backlogged (too many calls wait for its replies) if the oldest call has no reply for two round
/// trips plus this time.
const BACKLOG_SLACK: Duration = Duration::from_millis(5);

/// The calls in flight on one connection, in the order in which they were sent.
pub(super) struct Calls {
    calls: VecDeque<Call>,
    next: u64,
    shortest_round_trip: Option<Duration>,
    /// The server never counts as backlogged while the oldest call is younger than this.
    backlog_after: Duration,
    /// The server counts as silent if a call has no reply for this time.
    silent_after: Duration,
}

/// A call in flight. It stays in flight until its reply arrives, even if all of its requests have expired.
pub(super) struct Call {
    number: u64,
    pub(super) priority: Priority,
    pub(super) sent_at: Instant,
    /// For how long the dispatcher was stalled since it sent the call. The server is not responsible for this time.
    stalled_for: Duration,
    /// The earliest time at which one of the requests expires; `None` if there are no requests.
    expires_at: Option<Instant>,
    /// The number of entries that the call adds to sliding-window logs.
    entries: u32,
    /// The requests in the order of the call. A request that has expired is `None`.
    pub(super) requests: Vec<Option<PendingRequest>>,
}

impl Call {
    /// Returns for how long the server has not replied to the call.
    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.sent_at + self.stalled_for)
    }

    fn expires_at(&self) -> Option<Instant> {
        self.requests.iter().flatten().map(|request| request.expires_at).min()
    }
}

impl Calls {
    /// `deadline` is the deadline of the guard.
    pub(super) fn new(deadline: Duration) -> Self {
        Self {
            calls: VecDeque::new(),
            next: 0,
            shortest_round_trip: None,
            backlog_after: deadline / 4,
            silent_after: deadline * 9 / 10,
        }
    }

    /// Adds a call that is sent at the time `sent_at`. Returns its number.
    pub(super) fn add(
        &mut self,
        priority: Priority,
        sent_at: Instant,
        requests: Vec<PendingRequest>,
    ) -> u64 {
        let number = self.next;
        self.next += 1;
        let entries = requests.iter().map(|it| it.request.entries());
        let entries = entries.fold(0, u32::saturating_add);
        let requests = requests.into_iter().map(Some).collect();
        let mut call = Call {
            number,
            priority,
            sent_at,
            stalled_for: Duration::ZERO,
            expires_at: None,
            entries,
            requests,
        };
        call.expires_at = call.expires_at();
        self.calls.push_back(call);
        number
    }

    /// Removes the call with this number, because its reply has arrived at the time `now`.
    pub(super) fn remove(&mut self, number: u64, now: Instant) -> Option<Call> {
        let position = self.calls.iter().position(|call| call.number == number)?;
        let call = self.calls.remove(position)?;
        let round_trip = call.age(now);
        let shortest = self.shortest_round_trip.get_or_insert(round_trip);
        *shortest = round_trip.min(*shortest);
        Some(call)
    }

    /// Returns the number of calls with this priority.
    pub(super) fn count(&self, priority: Priority) -> usize {
        self.calls.iter().filter(|call| call.priority == priority).count()
    }

    /// Returns the number of entries that all enforced calls together add to sliding-window logs.
    pub(super) fn entries(&self) -> u32 {
        let enforced = self.calls.iter().filter(|call| call.priority == Priority::Enforced);
        enforced.map(|call| call.entries).fold(0, u32::saturating_add)
    }

    /// Returns the earliest time at which a request of a call expires.
    pub(super) fn first_expiry(&self) -> Option<Instant> {
        self.calls.iter().filter_map(|call| call.expires_at).min()
    }

    /// Takes the requests that expire at the time `now` or earlier.
    pub(super) fn take_expired(&mut self, now: Instant) -> Vec<PendingRequest> {
        let mut expired = Vec::new();
        let is_due = |call: &&mut Call| call.expires_at.is_some_and(|first| first <= now);
        for call in self.calls.iter_mut().filter(is_due) {
            for request in &mut call.requests {
                expired.extend(request.take_if(|it| it.expires_at <= now));
            }
            call.expires_at = call.expires_at();
        }
        expired
    }

    /// Records that the dispatcher was stalled for this time, for which the server is not responsible.
    pub(super) fn postpone(&mut self, stall: Duration) {
        for call in &mut self.calls {
            call.stalled_for += stall;
            for request in call.requests.iter_mut().flatten() {
                request.expires_at += stall;
            }
            call.expires_at = call.expires_at();
        }
    }

    /// Returns true if the server has too many calls without a reply. In this case, requests should wait in the queue
    /// of this process. The queue serves all keys in turn, and a denial can complete other requests that are still in
    /// the queue. A request that was already sent has neither of these two advantages.
    pub(super) fn is_backlogged(&self, now: Instant) -> bool {
        let round_trip = self.shortest_round_trip.unwrap_or_default();
        let limit = (2 * round_trip + BACKLOG_SLACK).max(self.backlog_after);
        self.oldest_age(now) > limit
    }

    /// Returns true if the oldest call has no reply for nine tenths of the deadline. If not, the server is not the
    /// reason for a late reply: the request waited in the queue of this process, or its call was sent recently.
    pub(super) fn is_server_silent(&self, now: Instant) -> bool {
        !self.calls.is_empty() && self.oldest_age(now) >= self.silent_after
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Returns the time at which the oldest call has no reply for this time.
    pub(super) fn oldest_at(&self, age: Duration) -> Option<Instant> {
        self.calls.iter().map(|call| call.sent_at + call.stalled_for + age).min()
    }

    /// Returns for how long the server has not replied to the oldest call. Returns zero if no call is in flight.
    pub(super) fn oldest_age(&self, now: Instant) -> Duration {
        self.calls.iter().map(|call| call.age(now)).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        Key,
        policy::PLACEHOLDER_QUOTA,
        store::{
            Bucket, BucketRequest, Operation, log_encoding::LogEncoding,
            redis::queued_request::QueuedRequest,
        },
    };

    const DEADLINE: Duration = Duration::from_millis(100);

    /// Returns a request that expires at this time.
    fn request(expires_at: Instant) -> PendingRequest {
        let key = Key::global();
        let buckets = [BucketRequest::new(Bucket::new("p", 0, &key), PLACEHOLDER_QUOTA, 1)];
        let request = QueuedRequest::new("test", LogEncoding::Packed, Operation::Check, &buckets);
        let (mut request, _) = PendingRequest::new(&Arc::new(request), DEADLINE);
        request.expires_at = expires_at;
        request
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn requests_expire_one_by_one_and_their_call_stays_in_flight() {
        let (mut calls, start) = (Calls::new(DEADLINE), Instant::now());
        let expiries = [DEADLINE, millis(30), DEADLINE].map(|after| start + after);
        let requests = expiries.map(request).into();
        let number = calls.add(Priority::Enforced, start, requests);
        assert_eq!(calls.first_expiry(), Some(start + millis(30)));
        assert!(calls.take_expired(start + millis(29)).is_empty());
        assert_eq!(calls.take_expired(start + millis(30)).len(), 1);
        assert_eq!(calls.first_expiry(), Some(start + DEADLINE));
        assert_eq!(calls.take_expired(start + DEADLINE).len(), 2);
        assert_eq!((calls.first_expiry(), calls.count(Priority::Enforced)), (None, 1));
        let call = calls.remove(number, start + millis(150)).unwrap();
        assert!(call.requests.iter().all(Option::is_none));
        assert_eq!(calls.count(Priority::Enforced), 0);
    }

    #[test]
    fn stall_of_the_dispatcher_is_not_a_silent_server() {
        let (mut calls, start) = (Calls::new(DEADLINE), Instant::now());
        calls.add(Priority::Enforced, start, vec![request(start + DEADLINE)]);
        assert!(!calls.is_server_silent(start + millis(89)));
        assert!(calls.is_server_silent(start + millis(90)));
        calls.postpone(millis(200));
        assert!(!calls.is_server_silent(start + millis(289)));
        assert!(calls.take_expired(start + millis(299)).is_empty());
        assert_eq!(calls.take_expired(start + millis(300)).len(), 1);
    }

    #[test]
    fn backlog_depends_on_round_trip_and_deadline() {
        let (mut calls, start) = (Calls::new(DEADLINE), Instant::now());
        let add = |calls: &mut Calls| calls.add(Priority::Enforced, start, Vec::new());
        add(&mut calls);
        assert!(!calls.is_backlogged(start + millis(25)));
        assert!(calls.is_backlogged(start + millis(26)));
        // The server is far away: a reply takes 20 ms. So a call of 45 ms is not a backlog yet.
        let far = add(&mut calls);
        calls.remove(far, start + millis(20));
        assert!(!calls.is_backlogged(start + millis(45)));
        assert!(calls.is_backlogged(start + millis(46)));
    }
}
