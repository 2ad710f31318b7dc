//! Whether what became of a request follows from what the store said.

use std::collections::BTreeMap;

use rateguard::store::Operation;

use super::{
    history::{Asked, Decided, Request},
    limits::PAGES,
    remembered::Memory,
};

/// Why this result of a request is impossible, or `None` if it is not. The mode is that of its server, and these are the checks that were
/// asked of the store for it; it may also be that the server [remembered](Memory) a denial.
#[must_use]
pub fn violation(
    mode: &str,
    request: &Request,
    checks: &[&Asked],
    memory: &Memory<'_>,
) -> Option<&'static str> {
    let limits = PAGES.get(request.page).map_or(0, |page| page.checks);
    if checks.len() > limits {
        return Some("a limit was asked about twice");
    }
    let said = |is_allowed| {
        let is_so = |it: &&&Asked| it.said.is_some_and(|said| said.is_allowed == is_allowed);
        checks.iter().filter(is_so).count()
    };
    let (admitted, denied) = (said(true), said(false));
    match request.decided {
        Decided::Together if is_remembered(request, checks) => {
            let may_be = memory.may_deny(request, checks);
            return (!may_be).then_some("refused, undenied, and nothing could be remembered");
        }
        Decided::Together if admitted + denied == 0 => {
            return Some("the store is said to have decided, and has not");
        }
        // The store leaves checks unanswered also because of load, so this is legal for every mode.
        Decided::Locally if admitted + denied >= limits => {
            return Some("decided in memory though there was an answer");
        }
        Decided::Nobody if admitted + denied > 0 => return Some("a decision was not told"),
        _ => {}
    }
    match request.status {
        200 | 204 if denied > 0 => Some("denied, and passed"),
        200 | 204
            if mode == "closed" && admitted < limits && request.decided != Decided::Locally =>
        {
            Some("passed, undecided")
        }
        200 | 204 if mode == "local" && request.decided == Decided::Nobody => {
            Some("passed, undecided")
        }
        429 if denied == 0 && request.decided != Decided::Locally => Some("refused, undenied"),
        503 if mode != "closed" => Some("refused for want of an answer"),
        503 if denied > 0 || admitted == limits => Some("refused though there was an answer"),
        200 | 204 | 429 | 503 => None,
        _ => Some("answered with another status"),
    }
}

/// Whether no limit decided on a request.
#[must_use]
pub fn is_undecided(request: &Request) -> bool {
    request.decided == Decided::Nobody || request.status == 503
}

/// Whether a denial is said to be the store's, and it was not asked for it.
#[must_use]
pub fn is_remembered(request: &Request, checks: &[&Asked]) -> bool {
    let is_denied = checks.iter().any(|it| is_denial(it));
    request.decided == Decided::Together && request.status == 429 && !is_denied
}

/// Whether the store has answered no.
#[must_use]
pub fn is_denial(asked: &Asked) -> bool {
    asked.said.is_some_and(|said| !said.is_allowed)
}

/// Of each request, the checks that were asked for it.
#[must_use]
pub fn checks(asked: &[Asked]) -> BTreeMap<u64, Vec<&Asked>> {
    let mut checks: BTreeMap<u64, Vec<&Asked>> = BTreeMap::new();
    for asked in asked.iter().filter(|asked| asked.operation == Operation::Check) {
        checks.entry(asked.request).or_default().push(asked);
    }
    checks
}
