//! Takes requests from a queue, sends them to a Redis server in batches, and completes them when the replies arrive.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::Poll,
    time::{Duration, Instant},
};

use futures_util::{
    FutureExt,
    future::{Either, select},
    stream::{FuturesUnordered, Stream, StreamExt},
};
use redis::{ErrorKind, RedisError, ServerErrorKind};
use tokio::{task::yield_now, time::Sleep};

use super::{
    batch_queue::{BatchQueue, MAX_BATCH_ENTRIES, Priority},
    calls::Calls,
    error::{classify, needs_reconnect},
    health_reports::HealthReports,
    link_state::ActiveConnection,
    pending_request::{PendingRequest, RequestError},
    script_call::{CallReply, CallRequest, call},
    script_runner::{ScriptRunner, SendError},
};
use crate::store::{StoreError, script::BatchOutcome};

/// The maximum number of calls in flight (sent, but without a reply), if the server replies within
/// [`SLOW_REPLY_AFTER`].
const MAX_IN_FLIGHT: usize = 2;
/// The server counts as slow if this time has passed since the last call was sent, and a call still has no reply.
/// The dispatcher then sends one more call.
const SLOW_REPLY_AFTER: Duration = Duration::from_millis(1);
/// The maximum number of calls in flight, if the server is slow.
const MAX_IN_FLIGHT_TO_SLOW_SERVER: usize = 256;
/// The dispatcher sends no further call while the calls in flight add more than this number of entries to
/// sliding-window logs. Otherwise a sequence of costly requests would delay all replies.
const MAX_ENTRIES_IN_FLIGHT: u32 = 4 * MAX_BATCH_ENTRIES;
/// The maximum interval between two runs of the dispatcher, while requests wait for the server.
const TICK: Duration = Duration::from_millis(10);
/// The dispatcher was stalled if it runs this much later than its timer should have woken it. For example, a task of
/// the application blocks the thread.
const STALL: Duration = Duration::from_millis(10);
/// If the task of a worker connection has not run for this time, the connection may have been closed in the meantime
/// although its runtime has not noticed. For example, the runtime runs only while the application waits for a check.
const MAX_PAUSE: Duration = Duration::from_secs(2);

pub(super) struct Dispatcher {
    pub(super) queue: Arc<BatchQueue>,
    script: Arc<ScriptRunner>,
    pub(super) reports: Arc<HealthReports>,
    /// The deadline of the guard.
    deadline: Duration,
    /// The connection counts as lost if a call has no reply for this time. `None` if the connection manager tests the
    /// connection.
    lost_after: Option<Duration>,
    /// True after the first `CROSSSLOT` error. The dispatcher then groups the requests, so that all keys of a batch
    /// are in the same cluster slot.
    is_cluster: AtomicBool,
    /// The id of the process. A fork of this process must not use the connection of this process.
    process: u32,
}

/// The reason why a dispatcher has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// The owner of the dispatcher has stopped it.
    ByOwner,
    /// The connection was lost, or it does not reply.
    Lost(StoreError),
}

/// The state of a dispatcher while it uses one connection.
struct Run<'a> {
    dispatcher: &'a Dispatcher,
    active: &'a ActiveConnection,
    calls: Calls,
    /// The time at which the last call was sent.
    last_sent: Instant,
    lost: Option<StoreError>,
}

/// A timer that also measures how late the task runs.
struct Timer<'a> {
    sleep: Pin<&'a mut Sleep>,
    at: Option<Instant>,
}

impl Timer<'_> {
    /// Makes sure that the timer wakes the task at this time or earlier.
    fn wake_at(&mut self, time: Option<Instant>, now: Instant) {
        match time {
            Some(time) if self.at.is_none_or(|at| at <= now || time < at) => {
                self.sleep.as_mut().reset(time.into());
                self.at = Some(time);
            }
            Some(_) => {}
            None => self.at = None,
        }
    }

    /// Returns for how long the task has not run, although the timer was due, or a request was pushed while the timer
    /// was not set.
    fn stall(&self, pushed: Option<Instant>, now: Instant) -> Option<Duration> {
        let late = now.saturating_duration_since(self.at.or(pushed)?);
        (late > STALL).then_some(late)
    }

    fn is_due(&mut self, context: &mut std::task::Context<'_>) -> bool {
        self.at.is_some() && self.sleep.as_mut().poll(context).is_ready()
    }
}

impl Dispatcher {
    pub(super) fn new(
        queue: Arc<BatchQueue>,
        script: Arc<ScriptRunner>,
        reports: Arc<HealthReports>,
        deadline: Duration,
        lost_after: Option<Duration>,
    ) -> Self {
        let (is_cluster, process) = (AtomicBool::new(false), process::id());
        Self { queue, script, reports, deadline, lost_after, is_cluster, process }
    }

    /// Sends calls on this connection until `stop` completes or the connection is lost. All sent requests without a
    /// reply then fail with [`StoreError::Disconnected`]. The requests in the queue stay there.
    pub(super) async fn run_on(
        &self,
        active: &ActiveConnection,
        stop: impl Future<Output = ()>,
    ) -> Stopped {
        let calls = Calls::new(self.deadline);
        let last_sent = Instant::now();
        let mut run = Run { dispatcher: self, active, calls, last_sent, lost: None };
        let mut last_poll = Instant::now();
        let mut replies = FuturesUnordered::new();
        let sleep = pin!(tokio::time::sleep(TICK));
        let mut timer = Timer { sleep, at: None };
        let mut stop = pin!(stop);
        loop {
            self.queue.record_run();
            // Read replies first, so that no request expires whose reply has arrived.
            run.complete_ready(&mut replies);
            let now = Instant::now();
            if let Some(stall) = timer.stall(self.queue.take_first_push(), now) {
                run.calls.postpone(stall);
                self.queue.postpone_expiry(stall);
            }
            while run.lost.is_none()
                && let Some((priority, requests)) = run.next_call(now)
            {
                if self.is_forked() {
                    self.fail_all(StoreError::Forked);
                    return Stopped::Lost(StoreError::Forked);
                }
                replies.push(run.call(priority, requests, now));
            }
            if run.next_due().is_some_and(|due| due <= now) {
                // The task of the connection may not have read yet what the socket has received. It runs before this
                // task continues.
                yield_now().await;
                run.complete_ready(&mut replies);
                run.expire(now);
            }
            if let Some(cause) = run.lost {
                return Stopped::Lost(cause);
            }
            timer.wake_at(run.next_wake(now), now);
            // A new request cannot be sent while the maximum number of calls is in flight. The timer ends this state.
            let is_ready = run.may_send(now) || timer.at.is_none();
            let is_worker = self.lost_after.is_some();
            let mut woken = pin!(self.queue.wake.notified());
            let is_stopped = poll_fn(|context| {
                if stop.as_mut().poll(context).is_ready() {
                    return Poll::Ready(true);
                }
                let pause = last_poll.elapsed();
                last_poll += pause;
                if is_worker && pause > MAX_PAUSE && run.calls.is_empty() {
                    self.queue.postpone_expiry(pause);
                    run.lost = Some(StoreError::Disconnected(None));
                    return Poll::Ready(false);
                }
                let mut is_woken = is_ready && woken.as_mut().poll(context).is_ready();
                if let Poll::Ready(Some(reply)) = replies.poll_next_unpin(context) {
                    run.complete(reply);
                    is_woken = true;
                }
                is_woken |= timer.is_due(context);
                if is_woken { Poll::Ready(false) } else { Poll::Pending }
            });
            if is_stopped.await {
                return Stopped::ByOwner;
            }
        }
    }

    /// Fails the requests in the queue that expire, until `stop` completes. There is no connection in the meantime.
    pub(super) async fn expire_until(&self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        loop {
            let now = Instant::now();
            for request in self.queue.take_expired(now) {
                request.fail(RequestError::Store(StoreError::Timeout));
            }
            let next =
                self.queue.first_expiry().map_or(TICK, |at| at.saturating_duration_since(now));
            let timer = pin!(tokio::time::sleep(next.min(TICK)));
            if let Either::Left(_) = select(stop.as_mut(), timer).await {
                return;
            }
        }
    }

    /// Returns true if this process is a fork of the process that created the dispatcher.
    pub(super) fn is_forked(&self) -> bool {
        process::id() != self.process
    }

    /// Closes the queue, and fails its requests.
    pub(super) fn fail_all(&self, cause: StoreError) {
        for request in self.queue.close(cause) {
            request.fail(RequestError::Store(cause));
        }
    }
}

impl<'a> Run<'a> {
    /// Takes the requests of the next call from the queue, if a call should be sent now.
    fn next_call(&self, now: Instant) -> Option<(Priority, Vec<PendingRequest>)> {
        let queue = &self.dispatcher.queue;
        if self.may_send(now) {
            let requests = queue.take(Priority::Enforced);
            if !requests.is_empty() {
                return Some((Priority::Enforced, requests));
            }
        }
        // While the server runs a call with low priority, it cannot run enforced requests. The dispatcher therefore sends
        // only one such call at a time, and only while no enforced request waits.
        let is_low_allowed =
            self.calls.count(Priority::Low) == 0 && queue.len(Priority::Enforced) == 0;
        let requests = if is_low_allowed { queue.take(Priority::Low) } else { Vec::new() };
        (!requests.is_empty()).then_some((Priority::Low, requests))
    }

    /// Returns true if a call of enforced requests may be sent now.
    fn may_send(&self, now: Instant) -> bool {
        !self.is_held_back(now)
            && match self.calls.count(Priority::Enforced) {
                ..MAX_IN_FLIGHT => true,
                _ => now.saturating_duration_since(self.last_sent) >= SLOW_REPLY_AFTER,
            }
    }

    /// Returns true if only a reply permits the next call, and not the time.
    fn is_held_back(&self, now: Instant) -> bool {
        let in_flight = self.calls.count(Priority::Enforced);
        self.calls.entries() > MAX_ENTRIES_IN_FLIGHT
            || in_flight >= MAX_IN_FLIGHT_TO_SLOW_SERVER
            || in_flight >= MAX_IN_FLIGHT && self.calls.is_backlogged(now)
    }

    /// Adds a call to the calls in flight. Returns the future that sends the call and waits for its reply.
    fn call(
        &mut self,
        priority: Priority,
        requests: Vec<PendingRequest>,
        now: Instant,
    ) -> impl Future<Output = CallReply> + use<'a> {
        let (script, active) = (&*self.dispatcher.script, self.active);
        let of_call = requests.iter().map(|it| CallRequest {
            request: Arc::clone(&it.request),
            no_batching: it.no_batching,
            deadline: active.clock.at(it.expires_at),
        });
        let of_call = of_call.collect();
        if priority == Priority::Enforced {
            self.last_sent = now;
        }
        let number = self.calls.add(priority, now, requests);
        call(script, active, number, of_call, self.dispatcher.is_cluster.load(Relaxed))
    }

    fn first_expiry(&self) -> Option<Instant> {
        let queued = self.dispatcher.queue.first_expiry();
        self.calls.first_expiry().into_iter().chain(queued).min()
    }

    /// Returns the time at which the next request expires, or at which the connection counts as lost.
    fn next_due(&self) -> Option<Instant> {
        let lost = self.dispatcher.lost_after.and_then(|limit| self.calls.oldest_at(limit));
        self.first_expiry().into_iter().chain(lost).min()
    }

    /// Returns the time at which the dispatcher must run again, even if no request and no reply arrives.
    fn next_wake(&self, now: Instant) -> Option<Instant> {
        let mut next = self.next_due().map(|due| due.min(now + TICK));
        let slow = self.last_sent + SLOW_REPLY_AFTER;
        let is_full = self.calls.count(Priority::Enforced) >= MAX_IN_FLIGHT;
        if is_full && slow > now && !self.is_held_back(now) {
            next = Some(next.map_or(slow, |next| next.min(slow)));
        }
        next
    }

    /// Fails the requests that have expired.
    fn expire(&mut self, now: Instant) {
        // Requests wait in the queue either because the server does not reply to the calls in flight, or because this
        // process has more requests than the server can decide in time.
        let is_silent = self.calls.is_server_silent(now);
        let cause = if is_silent { StoreError::Timeout } else { StoreError::Overloaded };
        let mut expired = self.calls.take_expired(now);
        expired.extend(self.dispatcher.queue.take_expired(now));
        if !expired.is_empty() {
            self.dispatcher.reports.record_late_reply(is_silent);
        }
        expired.into_iter().for_each(|it| it.fail(RequestError::Store(cause)));
        if self.dispatcher.lost_after.is_some_and(|limit| self.calls.oldest_age(now) >= limit) {
            self.lost = Some(StoreError::Timeout);
        }
    }

    /// Completes the calls whose replies have arrived.
    fn complete_ready(&mut self, replies: &mut (impl Stream<Item = CallReply> + Unpin)) {
        while let Some(Some(reply)) = replies.next().now_or_never() {
            self.complete(reply);
        }
    }

    fn complete(&mut self, reply: CallReply) {
        let now = Instant::now();
        let Some(mut call) = self.calls.remove(reply.number, now) else { return };
        let sent_at = call.sent_at;
        match reply.batches {
            Ok(batches) => {
                for (positions, outcomes) in batches {
                    let requests = positions
                        .into_iter()
                        .map(|position| call.requests.get_mut(position).and_then(Option::take));
                    match outcomes {
                        Ok(outcomes) => {
                            for (request, outcome) in requests.zip(outcomes) {
                                self.complete_request(sent_at, request, outcome);
                            }
                        }
                        Err(error) => {
                            self.fail_batch(reply.by_slot, requests.flatten().collect(), error);
                        }
                    }
                }
            }
            Err(SendError::NotSent(error)) => {
                self.dispatcher.queue.requeue(call.requests.into_iter().flatten());
                self.record_error(classify(&error));
            }
            Err(SendError::NoReply(error)) => {
                self.fail_batch(
                    reply.by_slot,
                    call.requests.into_iter().flatten().collect(),
                    error,
                );
            }
        }
    }

    /// Completes a request with its outcome. A denial also completes all requests for the same check that were in the
    /// queue before the dispatcher sent the call. Many requests for an exhausted key therefore need only one decision.
    ///
    /// The denial is correct for these requests even if this call or the queue contains a refund for the key. If the
    /// script has decided the denial before the refund, the refund was not complete when these requests were created.
    /// No caller can therefore expect that the refund applies to these requests.
    fn complete_request(
        &mut self,
        sent_at: Instant,
        request: Option<PendingRequest>,
        outcome: BatchOutcome,
    ) {
        if let BatchOutcome::Failed(cause) = outcome {
            self.record_error(cause);
        }
        let Some(request) = request else { return };
        let is_denial = matches!(&outcome, BatchOutcome::Decided(verdict) if !verdict.is_allowed());
        if is_denial {
            self.dispatcher.queue.deny_same_checks(&request.request, sent_at, &outcome);
        }
        request.complete(outcome);
    }

    /// Sends the requests of a failed batch again if that is safe and useful. Otherwise fails them.
    fn fail_batch(&mut self, by_slot: bool, requests: Vec<PendingRequest>, error: RedisError) {
        let queue = &self.dispatcher.queue;
        // The script did not run, because the keys of the batch are in different cluster slots. The keys of each single
        // request may still be in one slot, so send the requests again in batches that are grouped by cluster slot.
        if is_cross_slot(&error) && !by_slot {
            self.dispatcher.is_cluster.store(true, Relaxed);
            queue.requeue(requests.into_iter());
            return;
        }
        // The script has not written anything, so the server has not counted any units. It is safe to send the requests
        // again, each in its own batch.
        if requests.len() > 1 && may_concern_one_key(&error) {
            queue.requeue(requests.into_iter().map(PendingRequest::without_batching));
            return;
        }
        if !is_redirect(&error) {
            self.record_error(classify(&error));
        }
        requests.into_iter().for_each(|it| it.fail(RequestError::Redis(error.clone())));
    }

    fn record_error(&mut self, cause: StoreError) {
        let is_worker = self.dispatcher.lost_after.is_some();
        match cause {
            StoreError::Disconnected(_) => self.lost = Some(cause),
            // The connection of the worker may lead to another server than that of the connection manager.
            cause if is_worker && needs_reconnect(cause) => self.lost = Some(cause),
            cause => self.dispatcher.reports.record_error(self.active.generation, cause),
        }
    }
}

/// Returns true if one key alone may have caused the error. For example, the user has no permission for this key, or
/// the cluster slot of this key migrates.
fn may_concern_one_key(error: &RedisError) -> bool {
    let migrations = [ServerErrorKind::Ask, ServerErrorKind::TryAgain].map(ErrorKind::Server);
    let causes = [
        StoreError::InvalidReply,
        StoreError::ForeignValue,
        StoreError::OutOfMemory,
        StoreError::Permission,
    ];
    // An error without a code comes from the client library. The server may have run the script, so the requests must
    // not be sent again.
    //
    // An error with a code comes from the server, and the script has not written anything. If a command fails after
    // the first write, the script returns the error as the outcome of the failed requests instead, and no request of
    // the batch is sent again.
    migrations.contains(&error.kind())
        || error.code().is_some() && causes.contains(&classify(error))
}

/// Returns true if the request must be sent to another node of the cluster, or later to the same node. The connection
/// has no problem then.
fn is_redirect(error: &RedisError) -> bool {
    let redirects = [ServerErrorKind::Moved, ServerErrorKind::Ask, ServerErrorKind::TryAgain];
    redirects.map(ErrorKind::Server).contains(&error.kind())
}

fn is_cross_slot(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::CrossSlot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stall_is_measured_from_the_timer_or_from_the_first_push() {
        let sleep = pin!(tokio::time::sleep(TICK));
        let mut timer = Timer { sleep, at: None };
        let now = Instant::now();
        let after = |millis| now + Duration::from_millis(millis);
        assert_eq!(timer.stall(None, after(100)), None);
        // The timer is not set, so the task should have run immediately after the push.
        assert_eq!(timer.stall(Some(now), after(10)), None);
        assert_eq!(timer.stall(Some(now), after(150)), Some(Duration::from_millis(150)));
        timer.wake_at(Some(after(20)), now);
        assert_eq!(timer.stall(Some(now), after(30)), None);
        assert_eq!(timer.stall(Some(now), after(170)), Some(Duration::from_millis(150)));
        // An earlier time replaces the time of the timer, and a later time does not.
        timer.wake_at(Some(after(15)), now);
        timer.wake_at(Some(after(90)), now);
        assert_eq!(timer.at, Some(after(15)));
    }
}
