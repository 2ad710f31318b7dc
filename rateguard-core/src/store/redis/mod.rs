//! The Redis store. It sends requests to Redis in batches. Each worker thread has one connection to each server.

#[cfg(feature = "deadpool")]
mod app_pool;
mod batch_queue;
mod calls;
mod cluster;
mod connect;
mod connector;
mod diagnosis;
mod dispatcher;
mod document_call;
mod error;
mod fair_queue;
mod health_reports;
mod heartbeat;
mod heartbeat_interval;
mod link;
mod link_state;
mod pending_request;
mod queued_request;
mod reconnect;
mod router;
mod script_call;
mod script_error;
mod script_log;
mod script_runner;
mod script_test;
mod sentinel;
mod server_label;
mod shared_connection;
mod stalled_workers;
mod target;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "tls_noop.rs"]
mod tls;
mod url;
mod worker_connection;
mod worker_connections;

use std::{sync::Arc, time::Duration};

pub(crate) use self::{target::Server, tls::TlsSettings};

use self::{queued_request::QueuedRequest, router::Router, script_runner::ScriptRunner};
use super::{
    BucketRequest, Keyspace, Operation, StoreError,
    script::{BatchOutcome, DocumentCall, ScriptStore, Transport},
};
use crate::{
    BuildError,
    store::{io_thread::IoThread, log_encoding::LogEncoding},
};

/// The store that holds its buckets in Redis.
pub(crate) type RedisStore = ScriptStore<RedisTransport>;

/// The connections of a store to its Redis servers.
pub(crate) struct RedisTransport {
    router: Router,
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
        let transport = RedisTransport { router, io_thread };
        let keyspace = Keyspace { server: label.text, prefix, pool: label.pool };
        Ok(Self::new(transport, keyspace, log, deadline))
    }
}

impl Transport for RedisTransport {
    type Request = QueuedRequest;

    const HOLDS_DEADLINE: bool = true;

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
        deadline: Duration,
    ) -> Result<BatchOutcome, StoreError> {
        self.router.send(buckets, request, deadline).await
    }

    async fn run_document_call(&self, call: &DocumentCall) -> Result<Vec<String>, StoreError> {
        self.router.run_document_call(call).await
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

    fn connections(&self) -> Option<usize> {
        Some(self.router.connections())
    }

    fn close(&self) {
        self.io_thread.close();
    }
}
