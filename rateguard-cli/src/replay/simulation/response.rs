//! The responses of admitted requests. They end permits, refund units that do not count, and count offences.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use actix_rateguard_core::{Key, Policy, Reservation};

use crate::replay::limit::{LimitGuard, poll_ready};

/// The changes by a response.
pub(super) struct Response {
    /// The units and permits of the request. A drop releases the permits.
    pub(super) reservation: Reservation,
    /// Whether the units do not count.
    pub(super) is_refunded: bool,
    /// The policy and key whose offence the response is.
    pub(super) offence: Option<(Policy, Key)>,
}

impl Response {
    pub(super) fn complete(self, guard: &LimitGuard) {
        let Self { reservation, is_refunded, offence } = self;
        if is_refunded {
            // The in-memory store answers every refund.
            drop(poll_ready(reservation.refund()));
        } else {
            drop(reservation);
        }
        if let Some((policy, key)) = offence {
            poll_ready(guard.guard.record_offence(&policy, &key));
        }
    }
}

/// The responses of the requests that are in progress.
#[derive(Default)]
pub(super) struct PendingResponses {
    heap: BinaryHeap<Reverse<Pending>>,
    next_number: u64,
}

struct Pending {
    end: u64,
    /// Responses with one end keep their order.
    number: u64,
    response: Response,
}

impl PendingResponses {
    pub(super) fn push(&mut self, end: u64, response: Response) {
        self.heap.push(Reverse(Pending { end, number: self.next_number, response }));
        self.next_number += 1;
    }

    /// Completes the responses that end at this time or before it.
    pub(super) fn complete_until(&mut self, time: u64, guard: &LimitGuard) {
        while self.heap.peek().is_some_and(|Reverse(pending)| pending.end <= time) {
            if let Some(Reverse(pending)) = self.heap.pop() {
                guard.clock.set(pending.end);
                pending.response.complete(guard);
            }
        }
    }
}

impl Pending {
    fn order(&self) -> (u64, u64) {
        (self.end, self.number)
    }
}

impl PartialEq for Pending {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Pending {}

impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pending {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}
