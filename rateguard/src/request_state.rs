//! The state that all limits of a request share: the decisions of the limits, and the penalty that the handler
//! adds.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    mem,
    rc::Rc,
};

use actix_rateguard_core::adapter::{PermitWatch, PolicyName};
use actix_web::{
    HttpMessage, HttpRequest,
    http::{StatusCode, header::HeaderMap},
};
use smallvec::SmallVec;

use crate::{
    Decision, Policy, QuotaStatus,
    added_units::AddedUnits,
    applied_limits::{AppliedLimits, FirstEntries},
    lost_penalty,
    not_checked::Exemption,
    replaced_limits::ReplacedLimits,
    response::{jitter, write_decision},
    settings::HttpSettings,
};

/// The state that all limits of a request share. The extensions of the request contain this state.
#[derive(Default)]
pub(crate) struct RequestState {
    /// All decisions on the request, in the order in which the limits decided: from the outermost limit to the
    /// innermost limit.
    decisions: RefCell<SmallVec<[StoredDecision; 1]>>,
    /// The limits that have been applied to the request.
    pub(crate) applied: AppliedLimits,
    /// The extra units that the handler has added.
    pub(crate) penalty: Cell<AddedUnits>,
    /// The route of the request, if code has extracted a `Penalty` before any limit has handled the request.
    penalty_route: RefCell<Option<String>>,
    /// The permits that the request holds.
    pub(crate) permits: RefCell<SmallVec<[PermitWatch; 1]>>,
    /// Whether a middleware has stored the response in the error of an inner middleware.
    pub(crate) has_stored_response: Cell<bool>,
    /// The limits of middlewares that the handler replaces.
    pub(crate) replaced: ReplacedLimits,
    /// The names of the policies that the header fields of the response do not report.
    hidden_policies: RefCell<SmallVec<[PolicyName; 1]>>,
    /// Whether permissive limits have denied the request. It still reaches its handler.
    pub(crate) is_denied_permissively: Cell<bool>,
    /// If `decisions` is empty, the reason why no limit has decided.
    undecided: Cell<UndecidedReason>,
}

/// A decision on the request.
struct StoredDecision {
    decision: Decision,
    /// For each limit of the decision, its first entry in the list of the limits that have been applied.
    first_entries: FirstEntries,
}

/// Identifies a quota of the limits that have been applied to a request: the first entry of the limit, and the index of
/// the quota in its policy.
type QuotaId = (usize, usize);

impl StoredDecision {
    /// Returns the identity of the quota with this status. `None` if the limit of the quota has not been applied.
    fn quota_id(&self, status: &QuotaStatus) -> Option<QuotaId> {
        let first_entry = *self.first_entries.get(status.limit_index())?;
        Some((first_entry?, status.quota_index()))
    }
}

/// Combines decisions on a request. If several decisions have the same quota, the result has the quota once.
fn combine(decisions: &[StoredDecision]) -> Option<Decision> {
    let (first, others) = decisions.split_first()?;
    let ids = |stored: &StoredDecision| -> SmallVec<[Option<QuotaId>; 4]> {
        stored.decision.statuses().iter().map(|it| stored.quota_id(it)).collect()
    };
    let mut combined_ids = ids(first);
    Some(others.iter().fold(first.decision.clone(), |combined, other| {
        let index_in_combined = |status: &QuotaStatus| {
            let id = other.quota_id(status)?;
            combined_ids.iter().position(|it| *it == Some(id))
        };
        let combined = combined.and_with_common(other.decision.clone(), index_in_combined);
        let new_ids = ids(other).into_iter();
        let new_ids = new_ids.filter(|id| id.is_none() || !combined_ids.contains(id));
        let new_ids: SmallVec<[_; 4]> = new_ids.collect();
        combined_ids.extend(new_ids);
        combined
    }))
}

impl RequestState {
    /// Returns the state of this request. If the request has no state, creates it.
    pub(crate) fn of(request: &HttpRequest) -> Rc<Self> {
        let mut extensions = request.extensions_mut();
        if let Some(state) = extensions.get::<Rc<Self>>() {
            return Rc::clone(state);
        }
        let state = Rc::<Self>::default();
        extensions.insert(Rc::clone(&state));
        state
    }

    /// Returns the state of this request. The result is `None` if the request has no state.
    pub(crate) fn existing(request: &HttpRequest) -> Option<Rc<Self>> {
        request.extensions().get::<Rc<Self>>().cloned()
    }

    /// Stores a decision and returns its index in the list of decisions. `first_entries` has the first entry of each
    /// limit of the decision.
    pub(crate) fn push(&self, decision: Decision, first_entries: FirstEntries) -> usize {
        let mut decisions = self.decisions.borrow_mut();
        let index = decisions.len();
        decisions.push(StoredDecision { decision, first_entries });
        update_others(&mut decisions, index, |_| true);
        index
    }

    /// Combines all decisions into one decision, which reports the numbers of the tightest limit. This is the limit
    /// with the fewest requests left or, in a denial, the limit for which the client has to wait longest.
    pub(crate) fn decision(&self) -> Option<Decision> {
        combine(&self.decisions.borrow())
    }

    /// Returns true if at least one limit has decided.
    pub(crate) fn has_decision(&self) -> bool {
        !self.decisions.borrow().is_empty()
    }

    /// Hides policies from clients: the header fields of the response do not report them.
    pub(crate) fn hide_policies<'a>(&self, policies: impl Iterator<Item = &'a Policy>) {
        let mut policies = policies.peekable();
        if policies.peek().is_some() {
            let names = policies.map(|policy| policy.shared_name().clone());
            self.hidden_policies.borrow_mut().extend(names);
        }
    }

    /// Returns the part of the decision that clients may see. `None` if nothing is left.
    pub(crate) fn visible<'a>(&self, decision: &'a Decision) -> Option<Cow<'a, Decision>> {
        let hidden = self.hidden_policies.borrow();
        if hidden.is_empty() {
            return Some(Cow::Borrowed(decision));
        }
        let is_hidden = |name: &str| hidden.iter().any(|it| it.as_str() == name);
        decision.without_policies(is_hidden).map(Cow::Owned)
    }

    /// Writes the header fields that report the decisions into a response with this status. `retry_jitter` is the random
    /// delay in seconds for `Retry-After`.
    pub(crate) fn write_decisions(
        &self,
        settings: &HttpSettings,
        retry_jitter: u64,
        status: StatusCode,
        headers: &mut HeaderMap,
    ) {
        // A permissive limit can deny a request that its handler completes. The client need not retry this request.
        let is_completed = self.is_denied_permissively.get() && status.is_success();
        let retry_jitter = (!is_completed).then_some(retry_jitter);
        let write = |decision: &Decision, headers: &mut HeaderMap| {
            if let Some(decision) = self.visible(decision) {
                write_decision(&decision, settings, retry_jitter, headers);
            }
        };
        match &**self.decisions.borrow() {
            [] => {}
            [one] => write(&one.decision, headers),
            several => {
                if let Some(decision) = combine(several) {
                    write(&decision, headers);
                }
            }
        }
    }

    /// Returns the random delay in seconds for `Retry-After`, or 0 if no limit has denied the request.
    pub(crate) fn retry_jitter(&self, settings: &HttpSettings, request: &HttpRequest) -> u64 {
        let is_denied = self.decisions.borrow().iter().any(|it| !it.decision.is_allowed());
        if is_denied { jitter(settings, request) } else { 0 }
    }

    /// Records a reason why a limit has not decided. If the limits have different reasons, the state has the last of
    /// them in the order of [`UndecidedReason`]. If several limits exempt the request, the state has the exemption of
    /// the outermost limit.
    pub(crate) fn add_undecided(&self, reason: UndecidedReason) {
        if reason.rank() > self.undecided.get().rank() {
            self.undecided.set(reason);
        }
    }

    /// Records the route of a request whose handler may add a penalty, if no limit has handled the request yet.
    pub(crate) fn record_penalty_route(&self, request: &HttpRequest) {
        if self.has_no_limit() {
            let pattern = request.match_pattern().unwrap_or_else(|| "without a pattern".to_owned());
            *self.penalty_route.borrow_mut() = Some(format!("{} {pattern}", request.method()));
        }
    }

    fn has_no_limit(&self) -> bool {
        self.decisions.borrow().is_empty() && self.undecided.get() == UndecidedReason::NoLimit
    }

    /// Returns the reason why no limit has decided, if there is no decision.
    pub(crate) fn undecided(&self) -> UndecidedReason {
        self.undecided.get()
    }

    /// Returns the decision with this index. The result is `None` if there is no such decision.
    pub(crate) fn get(&self, index: usize) -> Option<Decision> {
        self.decisions.borrow().get(index).map(|it| it.decision.clone())
    }

    /// Replaces the decision with this index.
    pub(crate) fn set(&self, index: usize, decision: Decision) {
        let mut decisions = self.decisions.borrow_mut();
        if let Some(stored) = decisions.get_mut(index) {
            let previous = mem::replace(&mut stored.decision, decision);
            update_others(&mut decisions, index, |status| !previous.statuses().contains(status));
        }
    }
}

/// The state is dropped with its request. A middleware outside of the limits can extract a `Penalty` before they run, so
/// only the end of the request shows that no limit has charged the penalty.
impl Drop for RequestState {
    fn drop(&mut self) {
        let units = self.penalty.get().total;
        if units > 0
            && self.has_no_limit()
            && let Some(route) = self.penalty_route.take()
        {
            lost_penalty::warn(&route, units);
        }
    }
}

/// Copies the statuses for which `is_new` returns true from the decision with this index into all other decisions that
/// have the same quotas. So all decisions have the last status of a quota.
fn update_others(
    decisions: &mut [StoredDecision],
    index: usize,
    is_new: impl Fn(&QuotaStatus) -> bool,
) {
    if decisions.len() == 1 {
        return;
    }
    let source = &decisions[index];
    let statuses = source.decision.statuses().iter().filter(|it| is_new(it));
    let newer: SmallVec<[(QuotaId, QuotaStatus); 1]> =
        statuses.filter_map(|it| Some((source.quota_id(it)?, it.clone()))).collect();
    for (_, other) in decisions.iter_mut().enumerate().filter(|(other, _)| *other != index) {
        let mut decision = other.decision.clone();
        decision.replace_statuses(|status| {
            let id = other.quota_id(status)?;
            newer.iter().find(|(newer_id, _)| *newer_id == id).map(|(_, newer)| newer.clone())
        });
        other.decision = decision;
    }
}

/// The reason why no limit has decided on a request.
///
/// If the limits of a request have different reasons, the result is the reason whose variant is closest to the end of
/// this enum. If several limits exempt the request, the result contains the exemption of the outermost limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UndecidedReason {
    /// The route has no limit.
    #[default]
    NoLimit,
    /// The limits do not apply to the request, for example because the client's plan is unlimited.
    Exempt(Exemption),
    /// The limits are in shadow mode, so they do not decide whether the request is denied.
    Shadow,
    /// The store failed, and the limits fail open, so they admitted the request without a check.
    StoreUnavailable,
    /// RateGuard rejected the request for a reason that does not depend on counts, such as an access list. The handler
    /// of a rejected request does not run, so only code outside the handler, such as a middleware, can get this reason.
    Rejected,
}

impl UndecidedReason {
    fn rank(self) -> u8 {
        match self {
            Self::NoLimit => 0,
            Self::Exempt(_) => 1,
            Self::Shadow => 2,
            Self::StoreUnavailable => 3,
            Self::Rejected => 4,
        }
    }
}
