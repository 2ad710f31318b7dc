//! Implements a queue that serves all keys in turn. Many requests for one key therefore do not delay the requests for
//! other keys.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasherDefault, Hasher},
    time::Instant,
};

use super::{pending_request::PendingRequest, queued_request::QueuedRequest};

/// The minimum number of requests in the queue at which `push` removes the abandoned requests. A request is abandoned
/// if its caller no longer waits.
const COMPACT_THRESHOLD: usize = 1_024;
/// The number of requests for which a flow has room when it gets its second request.
const MANY_REQUESTS: usize = 16;

/// A fair queue of requests. All requests for the same keys belong to one [`Flow`]. `pop` takes one request from each
/// [`Flow`] in turn. It takes the requests of a single [`Flow`] in the order of their arrival.
pub(super) struct FairQueue {
    flows: HashMap<u64, Flow, BuildHasherDefault<FlowHasher>>,
    /// The numbers of all flows, in the order of their turns. `pop` takes a request from the first flow.
    turns: VecDeque<u64>,
    len: usize,
    compact_at: usize,
}

/// The requests in the queue that are for the same keys. A flow has at least one request. Most flows have exactly one
/// request, and such a flow needs no allocation.
struct Flow {
    first: PendingRequest,
    others: VecDeque<PendingRequest>,
}

/// Uses each number unchanged as its hash. The numbers come from the digests of keys, so they are already uniformly
/// distributed.
#[derive(Default)]
struct FlowHasher(u64);

impl Hasher for FlowHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, flow: u64) {
        self.0 = flow;
    }
}

impl Default for FairQueue {
    fn default() -> Self {
        Self {
            flows: HashMap::default(),
            turns: VecDeque::new(),
            len: 0,
            compact_at: COMPACT_THRESHOLD,
        }
    }
}

impl FairQueue {
    /// Returns the number of requests in the queue, including abandoned requests.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a request behind all other requests for the same keys. If there are no such requests, the new request is
    /// served after one request of each other flow.
    pub(super) fn push(&mut self, request: PendingRequest) {
        let number = request.request.flow;
        match self.flows.get_mut(&number) {
            Some(flow) => {
                if flow.others.capacity() == 0 {
                    // A key with two waiting requests often gets many more before the next batch.
                    flow.others.reserve(MANY_REQUESTS);
                }
                flow.others.push_back(request);
            }
            None => {
                self.flows.insert(number, Flow { first: request, others: VecDeque::new() });
                self.turns.push_back(number);
            }
        }
        self.len += 1;
        if self.len >= self.compact_at {
            let _ = self.take_all(PendingRequest::is_abandoned);
            self.compact_at = COMPACT_THRESHOLD.max(2 * self.len);
        }
    }

    /// Puts a request back into the queue, in front of all requests for the same keys. The turn of these keys does
    /// not change. If there are no such requests, the request is served after one request of each other flow.
    pub(super) fn requeue(&mut self, request: PendingRequest) {
        match self.flows.get_mut(&request.request.flow) {
            Some(flow) => {
                let second = std::mem::replace(&mut flow.first, request);
                flow.others.push_front(second);
                self.len += 1;
            }
            None => self.push(request),
        }
    }

    /// Takes the next request from the queue. Drops the abandoned requests that are before it.
    pub(super) fn pop(&mut self) -> Option<PendingRequest> {
        while let Some(number) = self.turns.pop_front() {
            let Some(flow) = self.flows.get_mut(&number) else { continue };
            let request = match flow.others.pop_front() {
                Some(next) => {
                    self.turns.push_back(number);
                    Some(std::mem::replace(&mut flow.first, next))
                }
                None => self.flows.remove(&number).map(|flow| flow.first),
            };
            self.len -= 1;
            if let Some(request) = request.filter(|request| !request.is_abandoned()) {
                return Some(request);
            }
        }
        None
    }

    /// Takes all requests that ask for the same check as `check`, and whose `created_at` is not later than `before`.
    pub(super) fn take_same_checks(
        &mut self,
        check: &QueuedRequest,
        before: Instant,
    ) -> Vec<PendingRequest> {
        let Some(flow) = self.flows.get_mut(&check.flow) else { return Vec::new() };
        let is_same =
            |it: &PendingRequest| it.created_at <= before && it.request.is_same_check(check);
        let mut taken = Vec::new();
        let mut others = VecDeque::new();
        for request in flow.others.drain(..) {
            if is_same(&request) { taken.push(request) } else { others.push_back(request) }
        }
        flow.others = others;
        if is_same(&flow.first) {
            match flow.others.pop_front() {
                Some(next) => taken.push(std::mem::replace(&mut flow.first, next)),
                None => {
                    taken.extend(self.flows.remove(&check.flow).map(|flow| flow.first));
                    self.turns.retain(|number| *number != check.flow);
                }
            }
        }
        self.len -= taken.len();
        taken
    }

    /// Takes all requests for which `is_taken` returns true.
    pub(super) fn take_all(
        &mut self,
        is_taken: impl Fn(&PendingRequest) -> bool,
    ) -> Vec<PendingRequest> {
        let turns = std::mem::take(&mut self.turns);
        let mut flows = std::mem::take(&mut self.flows);
        let mut taken = Vec::new();
        self.len = 0;
        for number in turns {
            let Some(flow) = flows.remove(&number) else { continue };
            let all = std::iter::once(flow.first).chain(flow.others);
            let (of_flow, mut others): (VecDeque<_>, VecDeque<_>) = all.partition(&is_taken);
            taken.extend(of_flow);
            if let Some(first) = others.pop_front() {
                self.len += 1 + others.len();
                self.flows.insert(number, Flow { first, others });
                self.turns.push_back(number);
            }
        }
        taken
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut PendingRequest> {
        let flows = self.flows.values_mut();
        flows.flat_map(|flow| std::iter::once(&mut flow.first).chain(&mut flow.others))
    }
}
