//! A request that waits for its outcome.

use std::{sync::Arc, time::Instant};

use redis::RedisError;
use tokio::sync::oneshot;

use crate::store::{
    StoreError,
    script::{BatchOutcome, ScriptRequest},
};

/// A request that waits for its outcome.
pub(super) struct PendingRequest {
    pub(super) request: Arc<ScriptRequest>,
    /// The request is sent alone. This applies to resets, and to requests of a batch whose error may concern only one
    /// key.
    pub(super) no_batching: bool,
    pub(super) created_at: Instant,
    pub(super) deadline: Instant,
    pub(super) reply: oneshot::Sender<Result<BatchOutcome, RequestError>>,
}

/// The reason why a request failed.
#[derive(Clone)]
pub(super) enum RequestError {
    /// The connection of this generation returned an error.
    OnConnection(u64, RedisError),
    /// The request was dropped because the connection was lost.
    NoConnection(StoreError),
}

impl PendingRequest {
    /// Whether the caller no longer waits, for example after its deadline.
    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    pub(super) fn complete(self, outcome: BatchOutcome) {
        // An abandoned request has no receiver.
        let _ = self.reply.send(Ok(outcome));
    }

    pub(super) fn fail(self, error: RequestError) {
        let _ = self.reply.send(Err(error));
    }
}
