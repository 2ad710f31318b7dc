//! Made-up histories with permits and leases. All times are microseconds after [`START`].

use std::time::Duration;

use actix_rateguard::store::Operation;
use rateguard_tests::storm::{
    evidence::{FaultPeriod, History, StoreEvents},
    findings::{Findings, Violation},
    history::{Bucket, DecisionSource, Part, PermitPoll, Request, StoreCall, StoreReply},
    judge::judge,
    limits::{PAGES, policy_index},
    schedule::Fault,
};

pub(super) const MILLI: u64 = 1_000;
pub(super) const SECOND: u64 = 1_000 * MILLI;
pub(super) const START: u64 = 1_800_000_000_000_000;
pub(super) const DEADLINE: Duration = Duration::from_millis(100);
/// The process that makes the calls.
pub(super) const PROCESS: u64 = 9;

pub(super) fn bucket(policy: &str) -> Bucket {
    Bucket { policy: policy_index(policy).unwrap(), quota_index: 0, key: 7 }
}

/// Returns a call to which the store replied at the time `at`. `id` identifies the permit or the lease.
pub(super) fn call(operation: Operation, policy: &str, id: u64, at: u64) -> StoreCall {
    let at = START + at;
    let takes = matches!(operation, Operation::Check | Operation::Lease);
    let receipt = (PROCESS, if takes { id } else { at });
    StoreCall {
        request: id,
        operation,
        began: at - MILLI,
        ended: at + MILLI,
        reply: Some(StoreReply { is_allowed: true, at, receipt, banned_for: 0 }),
        error: String::new(),
        parts: vec![Part {
            bucket: bucket(policy),
            cost: 1,
            reset_after: 0,
            refund_of: if takes { (0, 0) } else { (PROCESS, id) },
        }],
    }
}

pub(super) fn with_cost(mut call: StoreCall, cost: u32) -> StoreCall {
    call.parts[0].cost = cost;
    call
}

pub(super) fn denied(mut call: StoreCall) -> StoreCall {
    call.reply.as_mut().unwrap().is_allowed = false;
    call
}

pub(super) fn without_reply(call: StoreCall) -> StoreCall {
    StoreCall { reply: None, error: "Timeout".to_owned(), ..call }
}

/// Returns the check that takes the permit `id` of the limit `held`: 4 permits with a lease of 1 s.
pub(super) fn grant(id: u64, at: u64) -> StoreCall {
    call(Operation::Check, "held", id, at)
}

pub(super) fn renewal(id: u64, at: u64) -> StoreCall {
    call(Operation::Renew, "held", id, at)
}

pub(super) fn release(id: u64, at: u64) -> StoreCall {
    call(Operation::Refund, "held", id, at)
}

/// Returns the queries of the request `id` whether its permit is valid, every 50 ms between these times.
pub(super) fn valid(id: u64, from: u64, until: u64) -> Vec<PermitPoll> {
    let times = (from..=until).step_by(50 * MILLI as usize);
    times.map(|at| PermitPoll { request: id, at: START + at, is_valid: true }).collect()
}

pub(super) fn lost(id: u64, at: u64) -> PermitPoll {
    PermitPoll { request: id, at: START + at, is_valid: false }
}

/// Returns a request that arrived at the time `from` and had its response at the time `until`.
pub(super) fn request(page: &str, from: u64, until: u64) -> Request {
    Request {
        number: 1_000_000,
        received_at: START + from,
        responded_at: START + until,
        page: PAGES.iter().position(|it| it.path == page).unwrap(),
        client: "client".to_owned(),
        cost: 1,
        status: 200,
        source: DecisionSource::Lease,
    }
}

pub(super) fn of_calls(calls: Vec<StoreCall>) -> History {
    History { calls, ..History::default() }
}

/// A fault of the server with this index, or of Redis.
pub(super) fn fault(fault: Fault, server: Option<usize>, from: u64, until: u64) -> FaultPeriod {
    FaultPeriod { fault, blocks_redis: true, server, from: START + from, until: START + until }
}

pub(super) fn findings(history: History, events: &StoreEvents) -> Findings {
    judge(vec![history], DEADLINE, events)
}

/// Returns the kinds of violations that the judge finds.
pub(super) fn violations(history: History, events: &StoreEvents) -> Vec<Violation> {
    findings(history, events).violations.into_keys().collect()
}

pub(super) fn losses(at: u64) -> StoreEvents {
    StoreEvents { losses: vec![START + at], ..StoreEvents::default() }
}

pub(super) fn failover(from: u64, killed: u64) -> StoreEvents {
    StoreEvents { failovers: vec![(START + from, START + killed)], ..StoreEvents::default() }
}
