//! A queue that serves keys in turn, so many requests for one key do not delay requests for other keys.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasherDefault, Hasher},
    time::Instant,
};

use super::{pending_request::PendingRequest, queued_request::QueuedRequest};

/// The minimum number of queued requests at which `push` removes abandoned requests.
const COMPACT_THRESHOLD: usize = 1_024;

/// A fair queue of requests. All requests for the same keys are one [`Flow`]. `pop` takes one request from each
/// [`Flow`] in turn, and takes the requests of a [`Flow`] in the order of arrival.
pub(super) struct FairQueue {
    flows: HashMap<u64, Flow, BuildHasherDefault<FlowHasher>>,
    /// The numbers of all flows. `pop` takes the next request from the first.
    turns: VecDeque<u64>,
    len: usize,
    compact_at: usize,
}

/// The queued requests for the same keys. There is always at least one request. In most cases there is exactly one
/// request, and then no allocation is needed.
struct Flow {
    first: PendingRequest,
    others: VecDeque<PendingRequest>,
}

/// Returns each number unchanged as the hash. The numbers come from key digests, so they are already uniformly
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

    /// Adds a request after the requests for the same keys. If there are none, the request waits for all other keys
    /// once.
    pub(super) fn push(&mut self, request: PendingRequest) {
        let number = request.request.flow;
        match self.flows.get_mut(&number) {
            Some(flow) => flow.others.push_back(request),
            None => {
                self.flows.insert(number, Flow { first: request, others: VecDeque::new() });
                self.turns.push_back(number);
            }
        }
        self.len += 1;
        if self.len >= self.compact_at {
            self.retain(|request| !request.is_abandoned());
            self.compact_at = COMPACT_THRESHOLD.max(2 * self.len);
        }
    }

    /// Puts a request back before the other requests for the same keys, and does not change the turn of these keys. If
    /// there are no others, the request waits for all other keys once.
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

    /// Takes the next request, and drops the abandoned requests before it.
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

    /// Takes the requests for the same check whose `created_at` is not later than `before`.
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

    /// Takes all requests.
    pub(super) fn drain(&mut self) -> Vec<PendingRequest> {
        let flows = std::mem::take(self).flows;
        flows
            .into_values()
            .flat_map(|flow| std::iter::once(flow.first).chain(flow.others))
            .collect()
    }

    fn retain(&mut self, predicate: impl Fn(&PendingRequest) -> bool) {
        let turns = std::mem::take(&mut self.turns);
        let mut flows = std::mem::take(&mut self.flows);
        self.len = 0;
        for number in turns {
            let Some(flow) = flows.remove(&number) else { continue };
            let mut requests = std::iter::once(flow.first).chain(flow.others).filter(&predicate);
            if let Some(first) = requests.next() {
                let others: VecDeque<_> = requests.collect();
                self.len += 1 + others.len();
                self.flows.insert(number, Flow { first, others });
                self.turns.push_back(number);
            }
        }
    }
}
