//! Implements the store that Redis and Upstash share. The servers run the script, and a [`Transport`] provides the
//! connections.

use std::{
    process,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{BatchOutcome, BucketRequest, DocumentCall, Operation};
use crate::store::{
    DocumentStore, Keyspace, StatisticsStore, Store, StoreError, StoreFuture, Verdict,
    log_encoding::LogEncoding,
};

/// Sends requests to the servers that run the script.
pub(crate) trait Transport: Send + Sync {
    /// A request to the script, together with the data that the transport needs to send the request.
    type Request: Send + Sync;

    /// True if [`send`](Self::send) returns at the deadline without a timer of the caller.
    const HOLDS_DEADLINE: bool;

    /// Creates a request. `prefix` is the text with which all Redis keys of the store begin.
    fn request(
        prefix: &str,
        log: LogEncoding,
        operation: Operation,
        buckets: &[BucketRequest<'_>],
    ) -> Self::Request;

    /// Sends the request to the server that stores these buckets, and returns the outcome. The server does not
    /// execute the request if the deadline has expired.
    fn send(
        &self,
        buckets: &[BucketRequest<'_>],
        request: &Arc<Self::Request>,
        deadline: Duration,
    ) -> impl Future<Output = Result<BatchOutcome, StoreError>> + Send;

    /// Runs the script of a document or of statistics, and returns its reply. The caller limits the time.
    fn run_document_call(
        &self,
        call: &DocumentCall,
    ) -> impl Future<Output = Result<Vec<String>, StoreError>> + Send;

    /// Returns an error if one of the servers has no live connection or cannot run the script.
    fn health(&self) -> Result<(), StoreError>;

    /// Returns the number of the server that stores the bucket of the first request.
    fn server(&self, buckets: &[BucketRequest<'_>]) -> usize;

    /// Returns true if this process, and not the server, is the reason why a request for these buckets has no timely
    /// reply.
    fn is_congested(&self, buckets: &[BucketRequest<'_>]) -> bool;

    /// Returns the number of open connections, or `None` if the transport does not count its connections.
    fn connections(&self) -> Option<usize> {
        None
    }

    /// Closes all connections.
    fn close(&self);
}

/// A store whose servers run the Lua script.
pub(crate) struct ScriptStore<T> {
    pub(super) keyspace: Keyspace,
    log: LogEncoding,
    /// The deadline for an operation if the caller sets no deadline.
    deadline: Duration,
    pub(super) transport: T,
    /// The id of the process that created the store. Only this process has the thread for the connections.
    process: u32,
}

impl<T: Transport> ScriptStore<T> {
    pub(in crate::store) fn new(
        transport: T,
        keyspace: Keyspace,
        log: LogEncoding,
        deadline: Duration,
    ) -> Self {
        Self { keyspace, log, deadline, transport, process: process::id() }
    }

    /// Returns true if this process is a fork of the process that created the store. The query of the process id is a
    /// system call, so operations that succeed do not call this function.
    pub(super) fn is_forked(&self) -> bool {
        process::id() != self.process
    }

    async fn decide(
        &self,
        deadline: Duration,
        operation: Operation,
        requests: &[BucketRequest<'_>],
    ) -> Result<Verdict, StoreError> {
        let request = Arc::new(T::request(&self.keyspace.prefix, self.log, operation, requests));
        // After the clock of the server was set forward, the script rejects requests as late although they are not
        // late. The reply has corrected the estimate of the server's clock, so send the request a second time.
        let until = Instant::now() + deadline;
        let mut left = deadline;
        for _ in 0..2 {
            let outcome = self.transport.send(requests, &request, left).await;
            let cause = |cause| if self.is_forked() { StoreError::Forked } else { cause };
            match outcome.map_err(cause)? {
                BatchOutcome::Decided(verdict) => return Ok(verdict),
                BatchOutcome::Failed(cause) => return Err(cause),
                BatchOutcome::DeadlineExceeded => {
                    left = until.saturating_duration_since(Instant::now());
                }
            }
        }
        Err(self.timeout_cause(requests))
    }
}

impl<T: Transport> Store for ScriptStore<T> {
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
        if self.is_forked() { Err(StoreError::Forked) } else { self.transport.health() }
    }

    fn server(&self, requests: &[BucketRequest<'_>]) -> usize {
        self.transport.server(requests)
    }

    fn timeout_cause(&self, requests: &[BucketRequest<'_>]) -> StoreError {
        if self.is_forked() {
            StoreError::Forked
        } else if self.transport.is_congested(requests) {
            StoreError::Overloaded
        } else {
            StoreError::Timeout
        }
    }

    fn holds_deadline(&self) -> bool {
        T::HOLDS_DEADLINE
    }

    fn connections(&self) -> Option<usize> {
        self.transport.connections()
    }

    fn close(&self) {
        self.transport.close();
    }

    fn supports_leases(&self) -> bool {
        true
    }

    fn documents(&self) -> Option<&dyn DocumentStore> {
        Some(self)
    }

    fn statistics(&self) -> Option<&dyn StatisticsStore> {
        Some(self)
    }

    fn keyspace(&self) -> Option<&Keyspace> {
        Some(&self.keyspace)
    }
}
