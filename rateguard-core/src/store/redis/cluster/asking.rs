//! Sends a request to a node that imports the cluster slot of the request's keys.

use std::{slice, time::Instant};

use crate::store::{
    StoreError,
    redis::{
        link_state::ActiveConnection,
        pending_request::RequestError,
        queued_request::QueuedRequest,
        script_runner::{ScriptRunner, SendError, invalid_reply},
    },
    script::BatchOutcome,
};

/// Sends an `ASKING` command and then the request. After `ASKING`, the node accepts only one command, so the request has
/// its own batch.
pub(super) async fn send_asking(
    script: &ScriptRunner,
    active: &ActiveConnection,
    request: &QueuedRequest,
    deadline: Instant,
) -> Result<BatchOutcome, RequestError> {
    let ActiveConnection { connection, clock, .. } = active;
    let sent = Instant::now();
    let batch = script.command.batch(&[(request, clock.at(deadline))], || clock.now());
    let replies = script.run(connection, true, slice::from_ref(&batch)).await;
    let reply = replies.map_err(SendError::into_inner).and_then(|replies| {
        match replies.into_iter().next() {
            Some(reply) => reply?.read(&batch),
            None => Err(invalid_reply()),
        }
    });
    let mut reply = reply.map_err(RequestError::Redis)?;
    reply.update_clock(clock, sent);
    Ok(reply.outcomes.pop().unwrap_or(BatchOutcome::Failed(StoreError::InvalidReply)))
}
