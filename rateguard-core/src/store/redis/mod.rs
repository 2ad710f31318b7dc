//! The Redis store. It sends requests in batches, and all checks share the connections.

#[cfg(feature = "deadpool")]
mod app_pool;
mod batch_queue;
mod cluster;
mod connect;
mod connector;
mod destination;
mod dispatcher;
mod error;
mod fair_queue;
mod health_reports;
mod heartbeat;
mod link;
mod link_state;
mod pending_request;
mod progress;
mod queued_request;
mod reconnect;
mod router;
mod script_error;
mod script_runner;
mod sentinel;
mod target;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "tls_noop.rs"]
mod tls;
mod url;
mod waker;

use std::{
    slice,
    sync::Arc,
    time::{Duration, Instant},
};

pub(crate) use self::{target::Server, tls::TlsSettings};

use self::{
    destination::Destination,
    link_state::ActiveConnection,
    pending_request::RequestError,
    queued_request::QueuedRequest,
    router::Router,
    script_runner::{ScriptRunner, invalid_reply},
};
use super::{
    BucketRequest, Operation, Store, StoreError, StoreFuture, Verdict,
    script::{Batch, BatchOutcome},
};
use crate::{BuildError, LogEncoding, store::io_thread::IoThread};

/// The maximum number of attempts to send a request, which bounds the number of cluster redirects.
const MAX_ATTEMPTS: u32 = 8;

pub(crate) struct RedisStore {
    prefix: String,
    log: LogEncoding,
    router: Router,
    script: Arc<ScriptRunner>,
    deadline: Duration,
    io_thread: IoThread,
}

impl RedisStore {
    /// Creates a store for this server, and starts to connect.
    pub(crate) fn open(
        server: Server,
        prefix: String,
        log: LogEncoding,
        deadline: Duration,
    ) -> Result<Self, BuildError> {
        let io_thread = IoThread::start("rateguard-redis").map_err(BuildError::Thread)?;
        let script = Arc::new(ScriptRunner::new());
        let router = server.router(deadline, &script, io_thread.handle())?;
        Ok(Self { prefix, log, router, script, deadline, io_thread })
    }

    async fn decide(
        &self,
        deadline: Duration,
        operation: Operation,
        requests: &[BucketRequest<'_>],
    ) -> Result<Verdict, StoreError> {
        let created_at = Instant::now();
        let deadline = created_at + deadline;
        let mut destination = self.router.destination(requests).await?;
        let request = Arc::new(QueuedRequest::new(&self.prefix, self.log, operation, requests));
        let mut was_late = false;
        for attempt in 0..MAX_ATTEMPTS {
            let guard = destination.link.in_flight_guard();
            let outcome = if destination.needs_asking {
                // Box this large future, because it is rarely used and would enlarge every check.
                Box::pin(self.send_asking(&destination, &request, deadline)).await
            } else {
                destination.link.send(Arc::clone(&request), created_at, deadline).await
            };
            guard.complete();
            match outcome {
                Ok(BatchOutcome::Decided(verdict)) => return Ok(verdict),
                // If the server's clock was set forward, the script rejects requests that are not late. The reply has
                // corrected the estimate of the server's clock, so send the request once more.
                Ok(BatchOutcome::DeadlineExceeded) if !was_late => was_late = true,
                Ok(BatchOutcome::DeadlineExceeded) => return Err(self.timeout_cause(requests)),
                Ok(BatchOutcome::Failed(cause)) => {
                    destination.link.report_error(destination.live.generation, cause);
                    return Err(cause);
                }
                Err(error) => {
                    let redirect = self.router.redirect(destination, &error, attempt);
                    destination = Box::pin(redirect).await?;
                }
            }
        }
        Err(StoreError::NotReady)
    }

    /// Sends the request after an `ASKING` command to a node that imports the cluster slot. The node accepts only this
    /// request, so the request has its own batch.
    async fn send_asking(
        &self,
        destination: &Destination,
        request: &QueuedRequest,
        deadline: Instant,
    ) -> Result<BatchOutcome, RequestError> {
        let ActiveConnection { connection, clock, generation } = &destination.live;
        let batch = Batch::new(&self.script.ids, &[(request, clock.at(deadline))]);
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
        requests: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        self.apply_with_deadline(self.deadline, operation, requests)
    }

    fn apply_with_deadline<'a>(
        &'a self,
        deadline: Duration,
        operation: Operation,
        requests: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        StoreFuture::Pending(Box::pin(self.decide(deadline, operation, requests)))
    }

    fn health(&self) -> Result<(), StoreError> {
        self.router.health()
    }

    fn server(&self, requests: &[BucketRequest<'_>]) -> usize {
        self.router.server(requests)
    }

    fn timeout_cause(&self, requests: &[BucketRequest<'_>]) -> StoreError {
        if self.router.is_congested(requests) {
            StoreError::Overloaded
        } else {
            StoreError::Timeout
        }
    }

    fn close(&self) {
        self.io_thread.close();
    }
}
