//! Defines a request whose caller waits until the dispatcher reports the outcome.

use std::{sync::Arc, time::Instant};

use redis::RedisError;
use tokio::sync::oneshot;

use super::queued_request::QueuedRequest;
use crate::store::{StoreError, script::BatchOutcome};

/// A request whose caller waits until the dispatcher reports the outcome.
pub(super) struct PendingRequest {
    pub(super) request: Arc<QueuedRequest>,
    /// True if the request must have its own batch. There are two such cases: the request is a reset, or it was in a
    /// batch that failed with an error that one key alone may have caused.
    pub(super) no_batching: bool,
    pub(super) created_at: Instant,
    pub(super) deadline: Instant,
    pub(super) reply: oneshot::Sender<Result<BatchOutcome, RequestError>>,
}

/// The reason why a request has no outcome.
#[derive(Clone)]
pub(super) enum RequestError {
    /// The request failed with this error on the connection with this number.
    OnConnection(u64, RedisError),
    /// There was no connection, or the connection was lost before the reply.
    NoConnection(StoreError),
}

impl PendingRequest {
    /// Returns true if the caller no longer waits for the outcome, for example because the deadline has expired. The
    /// dispatcher need not send such a request.
    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    pub(super) fn complete(self, outcome: BatchOutcome) {
        // Ignore the error. The receiver no longer exists if the caller has abandoned the request.
        let _ = self.reply.send(Ok(outcome));
    }

    pub(super) fn fail(self, error: RequestError) {
        let _ = self.reply.send(Err(error));
    }
}
