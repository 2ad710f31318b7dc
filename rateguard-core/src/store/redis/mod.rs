//! The Redis store. It sends requests to Redis in batches, and all checks share one connection to each server.

#[cfg(feature = "deadpool")]
mod app_pool;
mod batch_queue;
mod cluster;
mod connect;
mod connector;
mod destination;
mod diagnosis;
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
mod script_log;
mod script_runner;
mod script_test;
mod sentinel;
mod server_label;
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
    BucketRequest, Keyspace, Operation, StoreError,
    script::{BatchOutcome, ScriptStore, Transport},
};
use crate::{
    BuildError,
    store::{io_thread::IoThread, log_encoding::LogEncoding},
};

/// The maximum number of times that a request is sent. This maximum limits how often cluster nodes can redirect a
/// request.
const MAX_ATTEMPTS: u32 = 8;

/// The store that holds its buckets in Redis.
pub(crate) type RedisStore = ScriptStore<RedisTransport>;

/// The connections of a store to its Redis servers.
pub(crate) struct RedisTransport {
    router: Router,
    script: Arc<ScriptRunner>,
    io_thread: IoThread,
}

impl RedisStore {
    /// Creates a store for this server, cluster or service, and starts to connect.
    pub(crate) fn open(
        server: Server,
        prefix: String,
        log: LogEncoding,
        deadline: Duration,
    ) -> Result<Self, BuildError> {
        let io_thread = IoThread::start("rateguard-redis").map_err(BuildError::Thread)?;
        let script = Arc::new(ScriptRunner::new(&prefix, log));
        let (router, label) = server.router(deadline, &script, io_thread.handle())?;
        let transport = RedisTransport { router, script, io_thread };
        let keyspace = Keyspace { server: label.text, prefix, pool: label.pool };
        Ok(Self::new(transport, keyspace, log, deadline))
    }
}

impl RedisTransport {
    /// Sends an `ASKING` command and then the request, to a node that imports the cluster slot of the request's keys.
    /// After `ASKING`, the node accepts only one command, so the request has its own batch.
    async fn send_asking(
        &self,
        destination: &Destination,
        request: &QueuedRequest,
        deadline: Instant,
    ) -> Result<BatchOutcome, RequestError> {
        let ActiveConnection { connection, clock, generation } = &destination.live;
        let batch = self.script.command.batch(&[(request, clock.at(deadline))]);
        let sent = Instant::now();
        let replies = self.script.run(connection, true, slice::from_ref(&batch)).await;
        let reply = replies.and_then(|replies| match replies.into_iter().next() {
            Some(reply) => reply?.read(&batch),
            None => Err(invalid_reply()),
        });
        let mut reply = reply.map_err(|error| RequestError::OnConnection(*generation, error))?;
        reply.update_clock(clock, sent);
        Ok(reply.outcomes.pop().unwrap_or(BatchOutcome::Failed(StoreError::InvalidReply)))
    }
}

impl Transport for RedisTransport {
    type Request = QueuedRequest;

    fn request(
        prefix: &str,
        log: LogEncoding,
        operation: Operation,
        buckets: &[BucketRequest<'_>],
    ) -> QueuedRequest {
        QueuedRequest::new(prefix, log, operation, buckets)
    }

    async fn send(
        &self,
        buckets: &[BucketRequest<'_>],
        request: &Arc<QueuedRequest>,
        deadline: Instant,
    ) -> Result<BatchOutcome, StoreError> {
        let created_at = Instant::now();
        let mut destination = self.router.destination(buckets).await?;
        for attempt in 0..MAX_ATTEMPTS {
            let guard = destination.link.in_flight_guard();
            let outcome = if destination.needs_asking {
                // Allocate this large future separately. It is rarely used, and would otherwise enlarge the future of
                // every check.
                Box::pin(self.send_asking(&destination, request, deadline)).await
            } else {
                destination.link.send(Arc::clone(request), created_at, deadline).await
            };
            guard.complete();
            match outcome {
                Ok(outcome) => {
                    if let BatchOutcome::Failed(cause) = outcome {
                        destination.link.report_error(destination.live.generation, cause);
                    }
                    return Ok(outcome);
                }
                Err(error) => {
                    let redirect = self.router.redirect(destination, &error, attempt);
                    destination = Box::pin(redirect).await?;
                }
            }
        }
        Err(StoreError::NotReady(None))
    }

    fn health(&self) -> Result<(), StoreError> {
        self.router.health()
    }

    fn server(&self, buckets: &[BucketRequest<'_>]) -> usize {
        self.router.server(buckets)
    }

    fn is_congested(&self, buckets: &[BucketRequest<'_>]) -> bool {
        self.router.is_congested(buckets)
    }

    fn close(&self) {
        self.io_thread.close();
    }
}
