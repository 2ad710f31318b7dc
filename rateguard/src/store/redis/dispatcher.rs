//! Sends the requests that wait for a server, in batches, and gives the callers their answers.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
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
    StoreError,
    batch_queue::{BatchQueue, PendingRequest, Priority, RequestError},
    cluster::slot,
    error::classify,
    link::{Live, State},
    progress::{Progress, TICK},
    script_runner::{RawReply, ScriptRunner},
};
use crate::store::script::{Batch, Outcome, ScriptRequest};

/// So many batches are in flight at once to a server that answers soon.
const MAX_IN_FLIGHT: usize = 4;
/// Within this time after a batch, a smaller one waits to fill up or for a reply, whichever is first: a batch costs either
/// side as much as several requests.
const BATCH_DELAY: Duration = Duration::from_micros(200);
/// A server that has not answered within this time is far away, and gets further batches meanwhile.
const SLOW_SERVER_AFTER: Duration = Duration::from_millis(1);
/// So many batches are in flight at once to a server that is far away.
const MAX_IN_FLIGHT_TO_SLOW_SERVER: usize = 256;
/// For this long after a batch of several requests, the requests of a worker wake the dispatcher together. Then it looks at
/// the queue in any case.
const POLL_WINDOW: Duration = Duration::from_millis(5);

pub(super) struct Dispatcher {
    pub(super) queue: Arc<BatchQueue>,
    pub(super) script: Arc<ScriptRunner>,
    pub(super) state: watch::Receiver<State>,
    pub(super) progress: Arc<Progress>,
    /// A batch has keys of one slot only. If we do not know that the server is in a cluster, its first `CROSSSLOT` says so.
    pub(super) is_cluster: AtomicBool,
}

/// The last batch that was sent.
struct LastBatch {
    at: Instant,
    requests: usize,
}

impl LastBatch {
    /// Whether a batch of so many requests may be sent now, while so many batches are in flight.
    fn should_flush(&self, in_flight: usize, waiting: usize) -> bool {
        self.should_flush_after(self.at.elapsed(), in_flight, waiting)
    }

    fn should_flush_after(&self, passed: Duration, in_flight: usize, waiting: usize) -> bool {
        match in_flight {
            0 => true,
            _ if passed >= SLOW_SERVER_AFTER => in_flight < MAX_IN_FLIGHT_TO_SLOW_SERVER,
            // A small batch is better sent together with the requests that come next.
            _ => in_flight < MAX_IN_FLIGHT && (waiting >= self.requests || passed >= BATCH_DELAY),
        }
    }
}

/// A pipeline of batches that was sent.
struct Sent<'a> {
    live: &'a Live,
    at: Instant,
    /// No batch has keys of several slots.
    by_slot: bool,
}

/// The requests of a batch, by their positions among those that were taken from the queue.
type Positions = Vec<usize>;

impl Dispatcher {
    pub(super) async fn run(mut self) {
        loop {
            let live =
                match self.state.wait_for(|state| matches!(state, State::Up(_))).await.as_deref() {
                    Ok(State::Up(live)) => live.clone(),
                    Ok(_) => continue,
                    Err(_) => return,
                };
            self.run_on(&live).await;
            let cause = match &*self.state.borrow() {
                State::Down(cause) => *cause,
                State::Up(_) | State::Connecting => StoreError::Disconnected,
            };
            self.queue.fail_all(cause);
        }
    }

    /// Runs until there is another connection, or none. The requests of batches in flight get no answer then, which means to
    /// their callers that the connection was lost.
    async fn run_on(&self, live: &Live) {
        let mut state = self.state.clone();
        let mut changed = pin!(state.changed());
        let mut batches = FuturesUnordered::new();
        let mut low_priority = FuturesUnordered::new();
        self.progress.connected();
        let mut last = LastBatch { at: Instant::now(), requests: 0 };
        let mut is_any_in_flight = false;
        loop {
            self.progress.ran(is_any_in_flight);
            let may_send = |in_flight| in_flight < MAX_IN_FLIGHT || !self.progress.is_backlogged();
            while last.should_flush(batches.len(), self.queue.len(Priority::Enforced))
                && may_send(batches.len())
            {
                let requests = self.queue.take(Priority::Enforced);
                if requests.is_empty() {
                    break;
                }
                last = LastBatch { at: Instant::now(), requests: requests.len() };
                batches.push(self.send(live, requests));
            }
            // Requests of low priority have batches of their own, one at a time, and only while no other request waits: a
            // server that is busy with them answers nobody.
            if low_priority.is_empty() && self.queue.len(Priority::Enforced) == 0 {
                let requests = self.queue.take(Priority::Low);
                if !requests.is_empty() {
                    low_priority.push(self.send(live, requests));
                }
            }
            let is_polled = last.requests > 1 && last.at.elapsed() < POLL_WINDOW;
            self.queue.set_polled(is_polled);
            let is_any_held = self.queue.len(Priority::Enforced) > 0;
            let is_backlogged = batches.len() >= MAX_IN_FLIGHT && self.progress.is_backlogged();
            is_any_in_flight = !batches.is_empty() || !low_priority.is_empty();
            let mut is_slow = pin!(sleep_until((last.at + SLOW_SERVER_AFTER).into()));
            let mut poll_end = pin!(sleep_until((last.at + POLL_WINDOW).into()));
            let mut tick = pin!(sleep(TICK));
            let mut woken = pin!(self.queue.wake.notified());
            let is_over = poll_fn(|context| {
                if changed.as_mut().poll(context).is_ready() {
                    return Poll::Ready(true);
                }
                let mut goes_on = matches!(batches.poll_next_unpin(context), Poll::Ready(Some(())));
                goes_on |= matches!(low_priority.poll_next_unpin(context), Poll::Ready(Some(())));
                if batches.len() < MAX_IN_FLIGHT || !is_any_held {
                    goes_on |= woken.as_mut().poll(context).is_ready();
                }
                if is_any_held && batches.len() < MAX_IN_FLIGHT_TO_SLOW_SERVER && !is_backlogged {
                    goes_on |= is_slow.as_mut().poll(context).is_ready();
                }
                if is_polled {
                    goes_on |= poll_end.as_mut().poll(context).is_ready();
                }
                if is_any_in_flight {
                    goes_on |= tick.as_mut().poll(context).is_ready();
                }
                if goes_on { Poll::Ready(false) } else { Poll::Pending }
            });
            if is_over.await {
                return;
            }
        }
    }

    /// Sends these requests as one batch; in a cluster as one batch for each slot, in one pipeline.
    async fn send(&self, live: &Live, pending: Vec<PendingRequest>) {
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
                    self.answer(&sent, batch, of_batch(positions), reply);
                }
            }
            Err(error) => {
                let error = RequestError::OnConnection(live.generation, error);
                pending.into_iter().flatten().for_each(|it| it.fail(error.clone()));
            }
        }
    }

    /// The batches for these requests, and which requests are in each of them.
    fn batches<'a>(
        &self,
        requests: &'a [(Arc<ScriptRequest>, bool, i64)],
        by_slot: bool,
    ) -> (Vec<Batch<'a>>, Vec<Positions>) {
        // Cross-slot requests are sent alone, so that only they get the `CROSSSLOT` error.
        let mut groups: Vec<(Option<u16>, Positions)> = Vec::new();
        let slot_of = |tag: &str| slot(tag.as_bytes());
        for (position, (request, no_batching, _)) in requests.iter().enumerate() {
            let slot = match (no_batching, by_slot) {
                (true, _) => None,
                (false, true) => request.hash_tag().map(slot_of),
                (false, false) => Some(0),
            };
            let known = groups.iter_mut().find(|(known, _)| known.is_some() && *known == slot);
            match known {
                Some((_, positions)) => positions.push(position),
                None => groups.push((slot, vec![position])),
            }
        }
        let batch = |positions: &Positions| {
            let of_batch: Vec<_> = positions
                .iter()
                .map(|position| (&*requests[*position].0, requests[*position].2))
                .collect();
            Batch::new(&self.script.ids, &of_batch)
        };
        let batches = groups.iter().map(|(_, positions)| batch(positions)).collect();
        (batches, groups.into_iter().map(|(_, positions)| positions).collect())
    }

    fn answer(
        &self,
        sent: &Sent<'_>,
        batch: &Batch<'_>,
        pending: Vec<PendingRequest>,
        reply: RedisResult<RawReply>,
    ) {
        match reply.and_then(|reply| reply.read(batch)) {
            Ok(reply) => {
                let is_late = reply.outcomes.contains(&Outcome::DeadlineExceeded);
                sent.live.clock.heard(reply.now, sent.at, is_late);
                for (it, outcome) in pending.into_iter().zip(reply.outcomes) {
                    self.complete(sent, it, outcome);
                }
            }
            // Nothing was done. Perhaps none of the requests has keys of several slots.
            Err(error) if is_cross_slot(&error) && !sent.by_slot => {
                self.is_cluster.store(true, Relaxed);
                self.queue.requeue(pending.into_iter());
            }
            // Nothing was done.
            Err(error) if batch.is_shared() && may_concern_one_key(&error) => {
                let alone = |it| PendingRequest { no_batching: true, ..it };
                self.queue.requeue(pending.into_iter().map(alone));
            }
            Err(error) => {
                let error = RequestError::OnConnection(sent.live.generation, error);
                pending.into_iter().for_each(|it| it.fail(error.clone()));
            }
        }
    }

    /// Answers a request. A denial answers all that wait for the same check, so that many requests for a key that is used up
    /// do not need a decision each.
    fn complete(&self, sent: &Sent<'_>, pending: PendingRequest, outcome: Outcome) {
        let is_denial = matches!(&outcome, Outcome::Decided(verdict) if !verdict.is_allowed());
        if is_denial {
            self.queue.deny_same_checks(&pending.request, sent.at, &outcome);
        }
        pending.complete(outcome);
    }
}

/// Whether the same batch might succeed without some of its keys: the user may not access one of them, or in a cluster, one
/// is in a slot that is being moved.
fn may_concern_one_key(error: &RedisError) -> bool {
    let moves = [ServerErrorKind::Ask, ServerErrorKind::TryAgain].map(ErrorKind::Server);
    let causes = [StoreError::Unintelligible, StoreError::OutOfMemory, StoreError::Permission];
    // An error without a code is not the server's, which may have done what it was asked.
    moves.contains(&error.kind()) || error.code().is_some() && causes.contains(&classify(error))
}

fn is_cross_slot(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::CrossSlot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_batch_waits_for_more_requests_but_not_for_long() {
        let last = LastBatch { at: Instant::now(), requests: 10 };
        let micros = Duration::from_micros;
        // Nothing is in flight.
        assert!(last.should_flush_after(micros(0), 0, 1));
        // So soon, only a batch as large as the last one.
        assert!(!last.should_flush_after(micros(199), 1, 9));
        assert!(last.should_flush_after(micros(0), 3, 10));
        assert!(last.should_flush_after(micros(200), 3, 1));
        // A server that has had time and has not answered so many is far away.
        assert!(!last.should_flush_after(micros(999), 4, 100));
        assert!(last.should_flush_after(micros(1_000), 4, 1));
        assert!(last.should_flush_after(micros(1_000), 255, 1));
        assert!(!last.should_flush_after(micros(1_000), 256, 128));
    }
}
