//! The script, as whatever server runs it is asked: what a call says, and what the reply to it means.

mod call;
mod reply;

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use smallvec::SmallVec;

#[cfg(feature = "upstash")]
pub(super) use self::reply::Reply;
pub(super) use self::{
    call::{Argument, Call, Told},
    reply::Outcome,
};
use super::{Charge, Operation, Receipt, RedisLog};
use crate::{Algorithm, Quota};

/// What one caller asks for: an operation on one bucket or several, all or none.
#[derive(Debug)]
pub(super) struct Ask {
    operation: Operation,
    parts: SmallVec<[Part; 1]>,
    /// Others go first.
    #[cfg(feature = "redis")]
    pub(super) is_tried: bool,
}

/// A bucket that is asked for.
#[derive(Debug)]
struct Part {
    /// Where it is kept.
    key: String,
    terms: Terms,
    receipt: Receipt,
}

/// What is asked of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Terms {
    quota: Quota,
    /// By what the server counts.
    algorithm: &'static str,
    cost: u32,
    is_gate: bool,
}

#[cfg(feature = "redis")]
impl Part {
    fn hash_tag(&self) -> &str {
        let tag = self.key.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
        tag.map_or(&self.key, |(tag, _)| tag)
    }
}

impl Ask {
    pub(super) fn new(
        prefix: &str,
        log: RedisLog,
        operation: Operation,
        charges: &[Charge<'_>],
    ) -> Self {
        let part = |charge: &Charge<'_>| Part {
            key: charge.bucket.storage_key(prefix),
            terms: Terms {
                quota: charge.quota,
                algorithm: algorithm(charge.quota.algorithm(), log),
                cost: charge.cost,
                is_gate: charge.is_gate,
            },
            receipt: charge.receipt,
        };
        Self {
            operation,
            parts: charges.iter().map(part).collect(),
            #[cfg(feature = "redis")]
            is_tried: charges.iter().any(|charge| charge.is_tried),
        }
    }

    /// What decides which slot of a cluster the buckets are in, unless they are apart.
    #[cfg(feature = "redis")]
    pub(super) fn hash_tag(&self) -> Option<&str> {
        let mut tags = self.parts.iter().map(Part::hash_tag);
        let first = tags.next()?;
        tags.all(|tag| tag == first).then_some(first)
    }

    /// How many entries it may add to logs.
    #[cfg(feature = "redis")]
    pub(super) fn entries(&self) -> u32 {
        let of_logs = |part: &&Part| part.terms.quota.algorithm() == Algorithm::SlidingWindow;
        let costs = self.parts.iter().filter(of_logs).map(|part| part.terms.cost);
        costs.fold(0, u32::saturating_add)
    }

    fn is_like(&self, other: &Self) -> bool {
        self.operation == other.operation
            && self.parts.len() == other.parts.len()
            && self.parts.iter().zip(&other.parts).all(|(one, other)| one.terms == other.terms)
    }

    /// Whether several who ask for this one bucket can be answered as one who asks so often. Where members have names, each
    /// caller has its own; and what the counter of two windows has left does not go down by a cost at a time.
    fn can_be_shared(&self) -> bool {
        let [part] = &*self.parts else { return false };
        let Terms { quota, algorithm, cost, is_gate } = part.terms;
        self.operation == Operation::Check
            && cost > 0
            && !is_gate
            && quota.algorithm() != Algorithm::SlidingWindowCounter
            && algorithm != SORTED_SET
    }
}

const SORTED_SET: &str = "sliding_window_sorted_set";

/// The name that the script has for it.
fn algorithm(algorithm: Algorithm, log: RedisLog) -> &'static str {
    match (algorithm, log) {
        (Algorithm::SlidingWindow, RedisLog::SortedSet) => SORTED_SET,
        _ => algorithm.name(),
    }
}

/// A name that nothing else that is asked for has: of the process, and of what it asks for.
#[derive(Clone, Copy, Debug)]
struct Name {
    process: u64,
    number: u64,
}

/// Names that no other process and nothing else has.
pub(super) struct Names {
    process: u64,
    next: AtomicU64,
}

impl Names {
    pub(super) fn new() -> Self {
        // Two hashers of the standard library have different random seeds. Lua's numbers have 53 bits.
        let process = RandomState::new().hash_one("process");
        Self { process, next: AtomicU64::new(1) }
    }

    /// The first of so many, whose numbers follow one another.
    fn take(&self, many: usize) -> Name {
        Name { process: self.process, number: self.next.fetch_add(many as u64, Relaxed) }
    }
}
