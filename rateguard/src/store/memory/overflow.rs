//! Shared logs for the keys that found no room for a log of their own.

use std::collections::{HashMap, VecDeque};

use super::id::BucketId;
use crate::{
    Decision, Quota,
    algorithm::{Micros, Step, sliding_window::Log},
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
        let shared_quota = shared_quota(quota);
        let shared = self.logs.entry(place(hash, shared_quota)).or_default();
        let decision = shared.log.check(shared_quota, now);
        if decision.is_allowed() {
            shared.owners.push_back(id);
            // The log has dropped what no longer counts.
            let dropped = shared.owners.len() - shared.log.len();
            shared.owners.drain(..dropped);
        }
        decision.for_quota(quota)
    }

    /// A log with what this key was admitted here, which leaves; `None` if it was nothing.
    pub(super) fn take(
        &mut self,
        id: BucketId,
        hash: u64,
        quota: Quota,
        now: Micros,
    ) -> Option<Log> {
        let quota = shared_quota(quota);
        let place = place(hash, quota);
        let shared = self.logs.get_mut(&place)?;
        if shared.log.expires_at(quota) <= now {
            self.logs.remove(&place);
            return None;
        }
        let taken = shared.log.take(|place| shared.owners[place] == id);
        shared.owners.retain(|owner| *owner != id);
        (taken.len() > 0).then_some(taken)
    }
}

/// The quota of a shared log, whatever the algorithm: what a sliding window admits under it, each of them would. A
/// bucket's burst is not for all windows.
fn shared_quota(quota: Quota) -> Quota {
    let limit = quota.limit().min(quota.capacity());
    // Limit and window are those of a legal quota.
    Quota::new(limit, quota.window()).unwrap_or(quota)
}

fn place(hash: u64, quota: Quota) -> (Quota, u64) {
    // The low bits have chosen the shard.
    (quota, (hash >> 32) % SHARED_LOGS)
}
