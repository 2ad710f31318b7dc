//! Takes requests from the queue of a link (the connection to one Redis server), sends them in batches, and completes
//! the requests when the replies arrive.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    task::Poll,
    time::{Duration, Instant},
};

use futures_util::stream::{FuturesUnordered, StreamExt};
use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind};
use tokio::{
    sync::watch,
    time::{sleep, sleep_until},
};

use super::{
    batch_queue::{BatchQueue, MAX_BATCH_ENTRIES, Priority},
    cluster::slot,
    error::classify,
    link_state::{ActiveConnection, LinkState},
    pending_request::{PendingRequest, RequestError},
    progress::{Progress, TICK},
    queued_request::QueuedRequest,
    script_runner::{RawReply, ScriptRunner},
};
use crate::store::{
    StoreError,
    script::{Batch, BatchOutcome},
};

/// The maximum number of batches in flight (sent, but without a reply), if the server replies within
/// [`SLOW_REPLY_AFTER`].
const MAX_IN_FLIGHT: usize = 4;
/// The time for which the dispatcher waits for more requests if the next batch would be smaller than the last batch.
/// Each batch has a fixed cost, which is as high as the cost of several requests, so fewer and larger batches are
/// faster. No timer ends this wait. When a request or a reply wakes the dispatcher, and at the latest after
/// [`SLOW_REPLY_AFTER`], the dispatcher tests whether the time is over.
const BATCH_DELAY: Duration = Duration::from_micros(200);
/// The server counts as slow if this time has passed since the last batch was sent, and a batch still has no reply.
/// The dispatcher then sends one more batch.
const SLOW_REPLY_AFTER: Duration = Duration::from_millis(1);
/// The maximum number of batches in flight, if the server is slow.
const MAX_IN_FLIGHT_TO_SLOW_SERVER: usize = 256;
/// The dispatcher sends no further batch while the batches in flight add more than this number of entries to
/// sliding-window logs. Otherwise a sequence of costly requests would delay all replies.
const MAX_ENTRIES_IN_FLIGHT: u32 = 4 * MAX_BATCH_ENTRIES;
/// For this time after a batch with several requests, a worker thread sends only one delayed wake-up for all of its
/// new requests. At the end of this time, the dispatcher reads the queue without a wake-up, so no request waits
/// longer than this time.
const SHARED_WAKE_WINDOW: Duration = Duration::from_millis(5);

pub(super) struct Dispatcher {
    pub(super) queue: Arc<BatchQueue>,
    pub(super) script: Arc<ScriptRunner>,
    pub(super) state: watch::Receiver<LinkState>,
    pub(super) progress: Arc<Progress>,
    /// True after the first `CROSSSLOT` error. The dispatcher then groups the requests, so that all keys of a batch
    /// are in the same cluster slot.
    pub(super) is_cluster: AtomicBool,
}

/// The time and the number of requests of the batch that was sent last.
struct LastBatch {
    at: Instant,
    requests: usize,
}

impl LastBatch {
    /// Returns true if the dispatcher should now send the `waiting` requests as a batch. `in_flight` is the number of
    /// batches without a reply.
    fn should_flush(&self, in_flight: usize, waiting: usize) -> bool {
        self.should_flush_after(self.at.elapsed(), in_flight, waiting)
    }

    fn should_flush_after(&self, elapsed: Duration, in_flight: usize, waiting: usize) -> bool {
        match in_flight {
            0 => true,
            _ if elapsed >= SLOW_REPLY_AFTER => in_flight < MAX_IN_FLIGHT_TO_SLOW_SERVER,
            _ => in_flight < MAX_IN_FLIGHT && (waiting >= self.requests || elapsed >= BATCH_DELAY),
        }
    }
}

/// The batches that were sent together in one pipeline.
struct Sent<'a> {
    live: &'a ActiveConnection,
    at: Instant,
    /// True if each batch has only requests for one cluster slot.
    by_slot: bool,
}

/// The requests of one batch. Each request is given by its index in the list that the dispatcher took from the queue.
type Positions = Vec<usize>;

impl Dispatcher {
    pub(super) async fn run(mut self) {
        loop {
            let live =
                match self.state.wait_for(|it| matches!(it, LinkState::Up(_))).await.as_deref() {
                    Ok(LinkState::Up(live)) => live.clone(),
                    Ok(_) => continue,
                    Err(_) => return,
                };
            self.run_on(&live).await;
            let cause = match &*self.state.borrow() {
                LinkState::Down(cause) => *cause,
                LinkState::Up(_) | LinkState::Connecting => StoreError::Disconnected(None),
            };
            self.queue.fail_all(cause);
        }
    }

    /// Sends batches on this connection until the connection is replaced or lost. At that time, all sent requests
    /// without a reply fail with [`StoreError::Disconnected`].
    async fn run_on(&self, live: &ActiveConnection) {
        let mut state = self.state.clone();
        let mut changed = pin!(state.changed());
        // The number of entries that all batches in flight together add to sliding-window logs.
        let entries_in_flight = AtomicU32::new(0);
        // The batches in flight. `enforced` has the batches with normal priority, and `shadow` has the batch with low
        // priority.
        let mut enforced = FuturesUnordered::new();
        let mut shadow = FuturesUnordered::new();
        self.progress.reset_round_trip();
        let mut last = LastBatch { at: Instant::now(), requests: 0 };
        let mut is_any_in_flight = false;
        loop {
            self.progress.record_run(is_any_in_flight);
            let may_send = |in_flight| {
                entries_in_flight.load(Relaxed) <= MAX_ENTRIES_IN_FLIGHT
                    && (in_flight < MAX_IN_FLIGHT || !self.progress.is_backlogged())
            };
            while last.should_flush(enforced.len(), self.queue.len(Priority::Enforced))
                && may_send(enforced.len())
            {
                let requests = self.queue.take(Priority::Enforced);
                if requests.is_empty() {
                    break;
                }
                last = LastBatch { at: Instant::now(), requests: requests.len() };
                let entries = requests.iter().map(|it| it.request.entries());
                let entries = entries.fold(0, u32::saturating_add);
                entries_in_flight.fetch_add(entries, Relaxed);
                let (send, entries_in_flight) = (self.send(live, requests), &entries_in_flight);
                enforced.push(async move {
                    send.await;
                    entries_in_flight.fetch_sub(entries, Relaxed);
                });
            }
            // While the server runs a batch with low priority, it cannot run enforced requests. The dispatcher
            // therefore sends only one such batch at a time, and only while no enforced request waits.
            if shadow.is_empty() && self.queue.len(Priority::Enforced) == 0 {
                let requests = self.queue.take(Priority::Low);
                if !requests.is_empty() {
                    shadow.push(self.send(live, requests));
                }
            }
            let shares_wakes = last.requests > 1 && last.at.elapsed() < SHARED_WAKE_WINDOW;
            self.queue.share_wakes(shares_wakes);
            let is_any_waiting = self.queue.len(Priority::Enforced) > 0;
            let is_held_back = !may_send(enforced.len());
            is_any_in_flight = !enforced.is_empty() || !shadow.is_empty();
            let mut is_slow = pin!(sleep_until((last.at + SLOW_REPLY_AFTER).into()));
            let mut window_end = pin!(sleep_until((last.at + SHARED_WAKE_WINDOW).into()));
            let mut tick = pin!(sleep(TICK));
            let mut woken = pin!(self.queue.wake.notified());
            let connection_changed = poll_fn(|context| {
                if changed.as_mut().poll(context).is_ready() {
                    return Poll::Ready(true);
                }
                let mut is_woken =
                    matches!(enforced.poll_next_unpin(context), Poll::Ready(Some(())));
                is_woken |= matches!(shadow.poll_next_unpin(context), Poll::Ready(Some(())));
                if enforced.len() < MAX_IN_FLIGHT || !is_any_waiting {
                    is_woken |= woken.as_mut().poll(context).is_ready();
                }
                if is_any_waiting && enforced.len() < MAX_IN_FLIGHT_TO_SLOW_SERVER && !is_held_back
                {
                    is_woken |= is_slow.as_mut().poll(context).is_ready();
                }
                if shares_wakes {
                    is_woken |= window_end.as_mut().poll(context).is_ready();
                }
                if is_any_in_flight {
                    is_woken |= tick.as_mut().poll(context).is_ready();
                }
                if is_woken { Poll::Ready(false) } else { Poll::Pending }
            });
            if connection_changed.await {
                return;
            }
        }
    }

    /// Sends these requests as one batch. In a cluster, sends a pipeline that has one batch for each cluster slot.
    async fn send(&self, live: &ActiveConnection, pending: Vec<PendingRequest>) {
        let requests: Vec<_> = pending
            .iter()
            .map(|it| (Arc::clone(&it.request), it.no_batching, live.clock.at(it.deadline)))
            .collect();
        let by_slot = self.is_cluster.load(Relaxed);
        let (batches, positions) = self.batches(&requests, by_slot);
        let sent = Sent { live, at: Instant::now(), by_slot };
        let in_flight = self.progress.send();
        let replies = self.script.run(&live.connection, false, &batches).await;
        drop(in_flight);

        let mut pending: Vec<_> = pending.into_iter().map(Some).collect();
        let mut of_batch = |positions: Positions| -> Vec<PendingRequest> {
            positions.into_iter().filter_map(|position| pending[position].take()).collect()
        };
        match replies {
            Ok(replies) => {
                for ((batch, positions), reply) in batches.iter().zip(positions).zip(replies) {
                    self.dispatch_reply(&sent, batch, of_batch(positions), reply);
                }
            }
            Err(error) => {
                let error = RequestError::OnConnection(live.generation, error);
                pending.into_iter().flatten().for_each(|it| it.fail(error.clone()));
            }
        }
    }

    /// Returns the batches for these requests. Also returns, for each batch, the positions of its requests in
    /// `requests`.
    fn batches<'a>(
        &self,
        requests: &'a [(Arc<QueuedRequest>, bool, i64)],
        by_slot: bool,
    ) -> (Vec<Batch<'a>>, Vec<Positions>) {
        // A request whose keys are in different cluster slots gets its own batch, so no other request fails with the
        // `CROSSSLOT` error.
        let mut groups: Vec<(Option<u16>, Positions)> = Vec::new();
        let slot_of = |tag: &str| slot(tag.as_bytes());
        for (position, (request, no_batching, _)) in requests.iter().enumerate() {
            let slot = match (no_batching, by_slot) {
                (true, _) => None,
                (false, true) => request.hash_tag().map(slot_of),
                (false, false) => Some(0),
            };
            let group = groups.iter_mut().find(|(other, _)| other.is_some() && *other == slot);
            match group {
                Some((_, positions)) => positions.push(position),
                None => groups.push((slot, vec![position])),
            }
        }
        let batch = |positions: &Positions| {
            let of_batch: Vec<_> = positions
                .iter()
                .map(|position| (&**requests[*position].0, requests[*position].2))
                .collect();
            self.script.command.batch(&of_batch)
        };
        let batches = groups.iter().map(|(_, positions)| batch(positions)).collect();
        (batches, groups.into_iter().map(|(_, positions)| positions).collect())
    }

    fn dispatch_reply(
        &self,
        sent: &Sent<'_>,
        batch: &Batch<'_>,
        pending: Vec<PendingRequest>,
        reply: RedisResult<RawReply>,
    ) {
        match reply.and_then(|reply| reply.read(batch)) {
            Ok(reply) => {
                reply.update_clock(&sent.live.clock, sent.at);
                for (it, outcome) in pending.into_iter().zip(reply.outcomes) {
                    self.complete(sent, it, outcome);
                }
            }
            // The script did not run, because the keys of the batch are in different cluster slots. The keys of each
            // single request may still be in one slot, so send the requests again in batches that are grouped by
            // cluster slot.
            Err(error) if is_cross_slot(&error) && !sent.by_slot => {
                self.is_cluster.store(true, Relaxed);
                self.queue.requeue(pending.into_iter());
            }
            // The script has not written anything, so the server has not counted any units. It is safe to send the
            // requests again, each in its own batch.
            Err(error) if batch.requests.len() > 1 && may_concern_one_key(&error) => {
                let without_batching = |it| PendingRequest { no_batching: true, ..it };
                self.queue.requeue(pending.into_iter().map(without_batching));
            }
            Err(error) => {
                let error = RequestError::OnConnection(sent.live.generation, error);
                pending.into_iter().for_each(|it| it.fail(error.clone()));
            }
        }
    }

    /// Completes a request with its outcome. A denial also completes all requests for the same check that were in the
    /// queue before the dispatcher sent the batch. Many requests for an exhausted key therefore need only one
    /// decision.
    ///
    /// The denial is correct for these requests even if this batch or the queue contains a refund for the key. If the
    /// script has decided the denial before the refund, the refund was not complete when these requests were created.
    /// No caller can therefore expect that the refund applies to these requests.
    fn complete(&self, sent: &Sent<'_>, pending: PendingRequest, outcome: BatchOutcome) {
        let is_denial = matches!(&outcome, BatchOutcome::Decided(verdict) if !verdict.is_allowed());
        if is_denial {
            self.queue.deny_same_checks(&pending.request, sent.at, &outcome);
        }
        pending.complete(outcome);
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

fn is_cross_slot(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::CrossSlot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_batch_waits_for_at_most_the_batch_delay() {
        let last = LastBatch { at: Instant::now(), requests: 10 };
        let micros = Duration::from_micros;
        // No batch is in flight, so the dispatcher sends a batch of any size immediately.
        assert!(last.should_flush_after(micros(0), 0, 1));
        // Within the batch delay, the dispatcher sends only a batch that is at least as large as the last batch.
        assert!(!last.should_flush_after(micros(199), 1, 9));
        assert!(last.should_flush_after(micros(0), 3, 10));
        assert!(last.should_flush_after(micros(200), 3, 1));
        // If batches have no reply for 1 ms, the server counts as slow.
        assert!(!last.should_flush_after(micros(999), 4, 100));
        assert!(last.should_flush_after(micros(1_000), 4, 1));
        assert!(last.should_flush_after(micros(1_000), 255, 1));
        assert!(!last.should_flush_after(micros(1_000), 256, 128));
    }
}
