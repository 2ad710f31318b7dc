//! Sends requests in one pipeline of script calls, and decodes the replies.

use std::{sync::Arc, time::Instant};

use redis::RedisResult;

use super::{
    cluster::slot,
    link_state::ActiveConnection,
    queued_request::QueuedRequest,
    script_runner::{ScriptRunner, SendError},
};
use crate::store::script::{Batch, BatchOutcome};

/// A request of a call.
pub(super) struct CallRequest {
    pub(super) request: Arc<QueuedRequest>,
    /// True if the request must have its own batch.
    pub(super) no_batching: bool,
    /// The deadline on the clock of the server.
    pub(super) deadline: i64,
}

/// The requests of one batch. Each request is given by its index in the list of the call's requests.
pub(super) type Positions = Vec<usize>;

/// For each batch of a call, its requests and their outcomes.
type BatchOutcomes = Vec<(Positions, RedisResult<Vec<BatchOutcome>>)>;

/// The replies to a call.
pub(super) struct CallReply {
    /// The number of the call.
    pub(super) number: u64,
    /// True if each batch of the call has only requests for one cluster slot.
    pub(super) by_slot: bool,
    pub(super) batches: Result<BatchOutcomes, SendError>,
}

/// Sends the requests as one batch. If `by_slot` is true, sends a pipeline that has one batch for each cluster slot.
pub(super) async fn call(
    script: &ScriptRunner,
    active: &ActiveConnection,
    number: u64,
    requests: Vec<CallRequest>,
    by_slot: bool,
) -> CallReply {
    let positions = positions_of_batches(&requests, by_slot);
    let batch = |positions: &Positions| {
        let of_batch: Vec<_> = positions
            .iter()
            .map(|position| (&**requests[*position].request, requests[*position].deadline))
            .collect();
        script.command.batch(&of_batch, || active.clock.now())
    };
    let batches: Vec<Batch<'_>> = positions.iter().map(batch).collect();
    let sent = Instant::now();
    let replies = script.run(&active.connection, false, &batches).await;
    let batches = replies.map(|replies| {
        let outcomes = batches.iter().zip(replies).map(|(batch, reply)| {
            let reply = reply?.read(batch)?;
            reply.update_clock(&active.clock, sent);
            Ok(reply.outcomes)
        });
        positions.into_iter().zip(outcomes).collect()
    });
    CallReply { number, by_slot, batches }
}

/// Distributes the requests to batches.
fn positions_of_batches(requests: &[CallRequest], by_slot: bool) -> Vec<Positions> {
    // A request whose keys are in different cluster slots gets its own batch, so no other request fails with the
    // `CROSSSLOT` error.
    let mut groups: Vec<(Option<u16>, Positions)> = Vec::new();
    let slot_of = |tag: &str| slot(tag.as_bytes());
    for (position, CallRequest { request, no_batching, .. }) in requests.iter().enumerate() {
        let slot = match (no_batching, by_slot) {
            (true, _) => None,
            (false, true) => request.hash_tag().map(slot_of),
            (false, false) => Some(0),
        };
        let group = groups.iter_mut().find(|(other, _)| other.is_some() && *other == slot);
        match group {
            Some((_, positions)) => positions.push(position),
            None => groups.push((slot, vec![position])),
        }
    }
    groups.into_iter().map(|(_, positions)| positions).collect()
}
