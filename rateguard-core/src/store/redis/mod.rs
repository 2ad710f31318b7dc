//! The Redis store: requests in batches, over connections that all checks share.

mod batch_queue;
mod cluster;
mod connector;
mod dispatcher;
mod error;
mod fair_queue;
mod link;
mod progress;
mod reconnect;
mod router;
mod script_runner;
mod sentinel;
mod target;
mod url;
mod waker;

use std::{
    slice,
    sync::Arc,
    time::{Duration, Instant},
};

pub(crate) use self::target::Server;
pub use self::url::RedisUrlError;

use self::{
    batch_queue::RequestError,
    link::ActiveConnection,
    router::{Destination, Route},
    script_runner::{ScriptRunner, invalid_reply},
};
use super::{
    BucketRequest, Operation, RedisLog, Store, StoreError, StoreFuture, Verdict,
    script::{Batch, BatchOutcome, ScriptRequest},
};
use crate::{BuildError, store::io_thread::IoThread};

/// A request is sent no more often than this, to another server or once more.
const MAX_TURNS: u32 = 8;

pub(crate) struct RedisStore {
    prefix: String,
    log: RedisLog,
    route: Route,
    script: Arc<ScriptRunner>,
    deadline: Duration,
    home: IoThread,
}

impl RedisStore {
    /// A store for this server, which begins to connect.
    pub(crate) fn open(
        server: Server,
        prefix: String,
        log: RedisLog,
        deadline: Duration,
    ) -> Result<Self, BuildError> {
        let home = IoThread::start("rateguard-redis").map_err(BuildError::Thread)?;
        let script = Arc::new(ScriptRunner::new());
        let route = server.route(deadline, &script, home.handle())?;
        Ok(Self { prefix, log, route, script, deadline, home })
    }

    async fn decide(
        &self,
        deadline: Duration,
        operation: Operation,
        charges: &[BucketRequest<'_>],
    ) -> Result<Verdict, StoreError> {
        let asked_at = Instant::now();
        let until = asked_at + deadline;
        let mut way = self.route.way(charges).await?;
        let request = Arc::new(ScriptRequest::new(&self.prefix, self.log, operation, charges));
        let mut was_late = false;
        for turn in 0..MAX_TURNS {
            let watched = way.link.watch();
            let outcome = if way.is_asking {
                // On the heap, as it is large and rare.
                Box::pin(self.send_asking(&way, &request, until)).await
            } else {
                way.link.send(Arc::clone(&request), asked_at, until).await
            };
            watched.answered();
            match outcome {
                Ok(BatchOutcome::Decided(verdict)) => return Ok(verdict),
                // If its clock was set forward, the server rejects requests that are not late, and says what time it is.
                Ok(BatchOutcome::DeadlineExceeded) if !was_late => was_late = true,
                Ok(BatchOutcome::DeadlineExceeded) => return Err(self.timeout_cause(charges)),
                Ok(BatchOutcome::Failed(cause)) => {
                    way.link.failed(way.live.generation, cause);
                    return Err(cause);
                }
                Err(failed) => way = Box::pin(self.route.redirect(way, &failed, turn)).await?,
            }
        }
        Err(StoreError::NotReady)
    }

    /// Sends the request to a node that imports the slot, which answers the next command only.
    async fn send_asking(
        &self,
        way: &Destination,
        request: &ScriptRequest,
        until: Instant,
    ) -> Result<BatchOutcome, RequestError> {
        let ActiveConnection { connection, clock, generation } = &way.live;
        let batch = Batch::new(&self.script.ids, &[(request, clock.at(until))]);
        let sent = Instant::now();
        let replies = self.script.run(connection, true, slice::from_ref(&batch)).await;
        let reply = replies.and_then(|replies| match replies.into_iter().next() {
            Some(reply) => reply?.read(&batch),
            None => Err(invalid_reply()),
        });
        let mut reply = reply.map_err(|error| RequestError::OnConnection(*generation, error))?;
        let outcome =
            reply.outcomes.pop().unwrap_or(BatchOutcome::Failed(StoreError::InvalidReply));
        clock.record_reply(reply.now, sent, outcome == BatchOutcome::DeadlineExceeded);
        Ok(outcome)
    }
}

impl Store for RedisStore {
    fn apply<'a>(
        &'a self,
        operation: Operation,
        charges: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        self.apply_with_deadline(self.deadline, operation, charges)
    }

    fn apply_with_deadline<'a>(
        &'a self,
        deadline: Duration,
        operation: Operation,
        charges: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        StoreFuture::Pending(Box::pin(self.decide(deadline, operation, charges)))
    }

    fn health(&self) -> Result<(), StoreError> {
        self.route.health()
    }

    fn server(&self, charges: &[BucketRequest<'_>]) -> usize {
        self.route.server(charges)
    }

    fn timeout_cause(&self, charges: &[BucketRequest<'_>]) -> StoreError {
        if self.route.is_congested(charges) { StoreError::Overloaded } else { StoreError::Timeout }
    }

    fn close(&self) {
        self.home.close();
    }
}
