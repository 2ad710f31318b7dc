//! Defines a request whose caller waits until the dispatcher reports the outcome.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use redis::RedisError;
use tokio::sync::oneshot;

use super::{error::classify, queued_request::QueuedRequest};
use crate::store::{StoreError, script::BatchOutcome};

/// A request whose caller waits until the dispatcher reports the outcome.
pub(super) struct PendingRequest {
    pub(super) request: Arc<QueuedRequest>,
    /// True if the request must have its own batch. There are two such cases: the request is a reset, or it was in a
    /// batch that failed with an error that one key alone may have caused.
    pub(super) no_batching: bool,
    pub(super) created_at: Instant,
    /// The time at which the request fails if it has no outcome. The script does not execute the request after this
    /// time.
    pub(super) expires_at: Instant,
    reply: oneshot::Sender<Result<BatchOutcome, RequestError>>,
}

/// The outcome that the caller of a request waits for.
pub(super) struct PendingOutcome(oneshot::Receiver<Result<BatchOutcome, RequestError>>);

/// The reason why a request has no outcome.
#[derive(Clone, Debug)]
pub(super) enum RequestError {
    /// The server replied with this error, or the connection was lost.
    Redis(RedisError),
    /// There was no connection, or there was no reply within the deadline.
    Store(StoreError),
}

impl RequestError {
    pub(super) fn cause(&self) -> StoreError {
        match self {
            Self::Redis(error) => classify(error),
            Self::Store(cause) => *cause,
        }
    }
}

impl PendingRequest {
    pub(super) fn new(request: &Arc<QueuedRequest>, deadline: Duration) -> (Self, PendingOutcome) {
        let (reply, outcome) = oneshot::channel();
        let created_at = Instant::now();
        let request = Self {
            request: Arc::clone(request),
            // Send a reset in its own batch. All requests of a batch have the same time. If the batch also contained a
            // check, a later refund could not detect whether the check took its units before or after the reset.
            no_batching: request.is_reset(),
            created_at,
            expires_at: created_at + deadline,
            reply,
        };
        (request, PendingOutcome(outcome))
    }

    pub(super) fn without_batching(self) -> Self {
        Self { no_batching: true, ..self }
    }

    /// Gives the request its whole deadline again, because the dispatcher that held the request was stalled.
    pub(super) fn with_new_deadline(self) -> Self {
        let deadline = self.expires_at.saturating_duration_since(self.created_at);
        Self { expires_at: Instant::now() + deadline, ..self }
    }

    /// Returns true if the caller no longer waits for the outcome, for example because a client has disconnected. The
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

impl PendingOutcome {
    /// Waits until the dispatcher reports the outcome. A dispatcher holds the deadline of the request, so this method
    /// needs no timer.
    pub(super) async fn wait(self) -> Result<BatchOutcome, RequestError> {
        // The sender is dropped without an outcome when the runtime of the dispatcher ends.
        let lost = RequestError::Store(StoreError::Disconnected(None));
        self.0.await.unwrap_or(Err(lost))
    }
}
