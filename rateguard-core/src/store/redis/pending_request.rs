//! A request that waits until the dispatcher reports its outcome.

use std::{sync::Arc, time::Instant};

use redis::RedisError;
use tokio::sync::oneshot;

use super::queued_request::QueuedRequest;
use crate::store::{StoreError, script::BatchOutcome};

/// A request that waits until the dispatcher reports its outcome.
pub(super) struct PendingRequest {
    pub(super) request: Arc<QueuedRequest>,
    /// Whether the request has its own batch. This applies to resets, and to the requests of a failed batch if only one
    /// key may have caused the error.
    pub(super) no_batching: bool,
    pub(super) created_at: Instant,
    pub(super) deadline: Instant,
    pub(super) reply: oneshot::Sender<Result<BatchOutcome, RequestError>>,
}

/// The reason why a request failed.
#[derive(Clone)]
pub(super) enum RequestError {
    /// The connection with this number returned an error.
    OnConnection(u64, RedisError),
    /// The connection was lost, so there is no reply.
    NoConnection(StoreError),
}

impl PendingRequest {
    /// Whether the caller no longer waits, for example because its deadline has expired. The dispatcher then need not
    /// send the request.
    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    pub(super) fn complete(self, outcome: BatchOutcome) {
        // Ignore the error: an abandoned request has no receiver.
        let _ = self.reply.send(Ok(outcome));
    }

    pub(super) fn fail(self, error: RequestError) {
        let _ = self.reply.send(Err(error));
    }
}
