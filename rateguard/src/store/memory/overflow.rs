//! Shared logs for the keys that found no room for a log of their own.

use std::collections::{HashMap, VecDeque};

use super::id::BucketId;
use crate::{
    Decision, Quota,
    algorithm::sliding_window::{Log, Micros},
};

/// How many logs the keys of one quota share in each shard.
const SHARED_LOGS: u64 = 16;

/// A bounded number of logs for an unbounded number of keys.
///
/// The keys of one log are together held to the limit that each of them has, so nobody gets more than its limit.
#[derive(Default)]
pub(super) struct Overflow {
    logs: HashMap<(Quota, u64), SharedLog>,
}

#[derive(Default)]
struct SharedLog {
    log: Log,
    /// Whose request each entry of the log is.
    owners: VecDeque<BucketId>,
}

impl Overflow {
    pub(super) fn check(&mut self, id: BucketId, hash: u64, quota: Quota, now: Micros) -> Decision {
        let shared = self.logs.entry(place(hash, quota)).or_default();
        let decision = shared.log.check(quota, now);
        if decision.is_allowed() {
            shared.owners.push_back(id);
            // The log has dropped what no longer counts.
            let dropped = shared.owners.len() - shared.log.len();
            shared.owners.drain(..dropped);
        }
        decision
    }

    /// A log with what this key was admitted here, which leaves.
    pub(super) fn take(&mut self, id: BucketId, hash: u64, quota: Quota, now: Micros) -> Log {
        let place = place(hash, quota);
        let Some(shared) = self.logs.get_mut(&place) else { return Log::default() };
        if shared.log.expires_at(quota) <= now {
            self.logs.remove(&place);
            return Log::default();
        }
        let taken = shared.log.take(|place| shared.owners[place] == id);
        shared.owners.retain(|owner| *owner != id);
        taken
    }
}

fn place(hash: u64, quota: Quota) -> (Quota, u64) {
    // The low bits have chosen the shard.
    (quota, (hash >> 32) % SHARED_LOGS)
}
