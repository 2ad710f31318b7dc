//! Makes the calls to a server for those who wait: all who wait share the next one, and nobody waits for others to come.

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
use redis::{ErrorKind, RedisError, ServerErrorKind};
use tokio::{sync::watch, time::sleep_until};

use super::{
    StoreError,
    cluster::slot,
    error::classify,
    link::{Live, State},
    queue::{Failed, Queue, Waiting},
    script::{Decide, Replied},
};
use crate::store::script::{Ask, Call, Outcome};

/// So many calls are under way at once, if the server answers soon.
const MOST_CALLS: usize = 4;
/// For so long after a call, fewer than that one was for wait for more to come or for a reply, whichever is first: what a call
/// costs either side is as much as several checks.
const SOON: Duration = Duration::from_micros(200);
/// Longer than this, nobody waits for the replies to others: the server is far away, and has time for more calls.
const LONG: Duration = Duration::from_millis(1);
/// For so long after a call for several, those who come say so together. Then the queue is looked at in any case.
const WATCHED: Duration = Duration::from_millis(5);
/// So many are under way at the most.
const MOST_CALLS_TO_FAR_AWAY: usize = 256;

pub(super) struct Caller {
    pub(super) queue: Arc<Queue>,
    pub(super) script: Arc<Decide>,
    pub(super) state: watch::Receiver<State>,
    /// No call may be for keys of several slots. Where that is not known, the server says so.
    pub(super) is_cluster: AtomicBool,
}

/// The last call that was begun.
struct Last {
    at: Instant,
    askers: usize,
}

impl Last {
    /// Whether a call may begin for so many who wait, while so many calls are under way.
    fn is_followed(&self, calls: usize, waiting: usize) -> bool {
        self.is_followed_after(self.at.elapsed(), calls, waiting)
    }

    fn is_followed_after(&self, passed: Duration, calls: usize, waiting: usize) -> bool {
        match calls {
            0 => true,
            _ if passed >= LONG => calls < MOST_CALLS_TO_FAR_AWAY,
            // So few are better off together with who comes next.
            _ => calls < MOST_CALLS && (waiting >= self.askers || passed >= SOON),
        }
    }
}

/// A pipeline of calls.
struct Sent<'a> {
    live: &'a Live,
    at: Instant,
    /// No call was for keys of several slots.
    by_slot: bool,
}

impl Caller {
    pub(super) async fn call_for_all(mut self) {
        loop {
            let live =
                match self.state.wait_for(|state| matches!(state, State::Up(_))).await.as_deref() {
                    Ok(State::Up(live)) => live.clone(),
                    Ok(_) => continue,
                    Err(_) => return,
                };
            self.call_on(&live).await;
            let cause = match &*self.state.borrow() {
                State::Down(cause) => *cause,
                State::Up(_) | State::Connecting => StoreError::Disconnected,
            };
            self.queue.send_away(cause);
        }
    }

    /// Until there is another connection, or none. Who has been called for by then hears nothing, which means the same.
    async fn call_on(&self, live: &Live) {
        let mut state = self.state.clone();
        let mut over = pin!(state.changed());
        let mut calls = FuturesUnordered::new();
        let mut tried = FuturesUnordered::new();
        let mut last = Last { at: Instant::now(), askers: 0 };
        loop {
            while last.is_followed(calls.len(), self.queue.len().0) {
                let waiting = self.queue.take(false);
                if waiting.is_empty() {
                    break;
                }
                last = Last { at: Instant::now(), askers: waiting.len() };
                calls.push(self.call(live, waiting));
            }
            // What nobody waits for is called for in calls of its own, one at a time, and only when all others have been: a
            // server that is busy with it answers nobody.
            if tried.is_empty() && self.queue.len().0 == 0 {
                let waiting = self.queue.take(true);
                if !waiting.is_empty() {
                    tried.push(self.call(live, waiting));
                }
            }
            let is_watched = last.askers > 1 && last.at.elapsed() < WATCHED;
            self.queue.watch(is_watched);
            let is_anybody_held = self.queue.len().0 > 0;
            let mut long = pin!(sleep_until((last.at + LONG).into()));
            let mut watched = pin!(sleep_until((last.at + WATCHED).into()));
            let mut somebody = pin!(self.queue.wake.notified());
            let is_over = poll_fn(|context| {
                if over.as_mut().poll(context).is_ready() {
                    return Poll::Ready(true);
                }
                let mut goes_on = matches!(calls.poll_next_unpin(context), Poll::Ready(Some(())));
                goes_on |= matches!(tried.poll_next_unpin(context), Poll::Ready(Some(())));
                if calls.len() < MOST_CALLS || !is_anybody_held {
                    goes_on |= somebody.as_mut().poll(context).is_ready();
                }
                if is_anybody_held && calls.len() < MOST_CALLS_TO_FAR_AWAY {
                    goes_on |= long.as_mut().poll(context).is_ready();
                }
                if is_watched {
                    goes_on |= watched.as_mut().poll(context).is_ready();
                }
                if goes_on { Poll::Ready(false) } else { Poll::Pending }
            });
            if is_over.await {
                return;
            }
        }
    }

    /// A call for these; in a cluster, one for each slot, in one pipeline.
    async fn call(&self, live: &Live, waiting: Vec<Waiting>) {
        let asks: Vec<_> = waiting
            .iter()
            .map(|one| (Arc::clone(&one.ask), one.is_alone, live.clock.at(one.until)))
            .collect();
        let is_cluster = self.is_cluster.load(Relaxed);
        let (calls, places) = self.calls(&asks, is_cluster);
        let mut waiting: Vec<_> = waiting.into_iter().map(Some).collect();
        let mut called: Vec<Vec<Option<Waiting>>> = Vec::with_capacity(calls.len());
        for (call, places) in calls.iter().zip(&places) {
            let mut of_call: Vec<_> = places.iter().map(|_| None).collect();
            call.askers().for_each(|asker| of_call[asker] = waiting[places[asker]].take());
            called.push(of_call);
        }
        self.queue.put_back(waiting.into_iter().flatten());

        let sent = Sent { live, at: Instant::now(), by_slot: is_cluster };
        match self.script.call(&live.connection, false, &calls).await {
            Ok(replies) => {
                for ((call, called), reply) in calls.iter().zip(called).zip(replies) {
                    self.answer(&sent, call, called, reply);
                }
            }
            Err(error) => {
                let failed = Failed::On(live.generation, error);
                called.into_iter().flatten().flatten().for_each(|one| one.fail(failed.clone()));
            }
        }
    }

    /// The calls for these, and who asks in each of them.
    fn calls<'a>(
        &self,
        asks: &'a [(Arc<Ask>, bool, i64)],
        is_cluster: bool,
    ) -> (Vec<Call<'a>>, Vec<Vec<usize>>) {
        let mut by_slot: Vec<(Option<u16>, Vec<usize>)> = Vec::new();
        // Who asks for keys that are apart is told so in a call of its own.
        let slot_of = |tag: &str| slot(tag.as_bytes());
        for (place, (ask, is_alone, _)) in asks.iter().enumerate() {
            let slot = match (is_alone, is_cluster) {
                (true, _) => None,
                (false, true) => ask.hash_tag().map(slot_of),
                (false, false) => Some(0),
            };
            let known = by_slot.iter_mut().find(|(known, _)| known.is_some() && *known == slot);
            match known {
                Some((_, places)) => places.push(place),
                None => by_slot.push((slot, vec![place])),
            }
        }
        let call = |places: &Vec<usize>| {
            let asks: Vec<_> =
                places.iter().map(|place| (&*asks[*place].0, asks[*place].2)).collect();
            Call::new(&self.script.names, &asks)
        };
        let calls = by_slot.iter().map(|(_, places)| call(places)).collect();
        (calls, by_slot.into_iter().map(|(_, places)| places).collect())
    }

    fn answer(
        &self,
        sent: &Sent<'_>,
        call: &Call<'_>,
        called: Vec<Option<Waiting>>,
        reply: Replied,
    ) {
        let read = reply.and_then(|reply| {
            let unintelligible = || (ErrorKind::UnexpectedReturnType, "not a decision").into();
            call.read(called.len(), &reply).ok_or_else(unintelligible)
        });
        match read {
            Ok(reply) => {
                sent.live.clock.heard(reply.now, sent.at, reply.outcomes.contains(&Outcome::Late));
                let mut open = Vec::new();
                for (one, outcome) in called.into_iter().zip(reply.outcomes) {
                    match (one, outcome) {
                        (Some(one), Outcome::Open) => open.push(one),
                        (Some(one), outcome) => one.hear(outcome),
                        (None, _) => {}
                    }
                }
                self.queue.put_back(open.into_iter());
            }
            // Nothing was done. Perhaps none of them asks for keys that are apart.
            Err(error) if is_apart(&error) && !sent.by_slot => {
                self.is_cluster.store(true, Relaxed);
                self.queue.put_back(called.into_iter().flatten());
            }
            // Nothing was done but for the first.
            Err(error) if call.is_shared() && may_be_of_a_key(&error) => {
                let alone = |one| Waiting { is_alone: true, ..one };
                self.queue.put_back(called.into_iter().flatten().map(alone));
            }
            Err(error) => {
                let failed = Failed::On(sent.live.generation, error);
                called.into_iter().flatten().for_each(|one| one.fail(failed.clone()));
            }
        }
    }
}

/// Whether the same call might go well without some of the keys: one is of another kind, or has to be created where there is
/// no memory; or in a cluster, one of a slot that is on its way is here, and another is not.
fn may_be_of_a_key(error: &RedisError) -> bool {
    let moves = [ServerErrorKind::Ask, ServerErrorKind::TryAgain].map(ErrorKind::Server);
    let causes = [StoreError::Unintelligible, StoreError::OutOfMemory, StoreError::Permission];
    // What has no code was not said by the server, which may have done what it was asked.
    moves.contains(&error.kind()) || error.code().is_some() && causes.contains(&classify(error))
}

fn is_apart(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::CrossSlot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_wait_for_more_but_not_for_long() {
        let last = Last { at: Instant::now(), askers: 10 };
        let micros = Duration::from_micros;
        // Nothing is under way.
        assert!(last.is_followed_after(micros(0), 0, 1));
        // So soon, only for as many.
        assert!(!last.is_followed_after(micros(199), 1, 9));
        assert!(last.is_followed_after(micros(0), 3, 10));
        assert!(last.is_followed_after(micros(200), 3, 1));
        // A server that has not answered so many yet is far away, if it has had time.
        assert!(!last.is_followed_after(micros(999), 4, 100));
        assert!(last.is_followed_after(micros(1_000), 4, 1));
        assert!(last.is_followed_after(micros(1_000), 255, 1));
        assert!(!last.is_followed_after(micros(1_000), 256, 128));
    }
}
