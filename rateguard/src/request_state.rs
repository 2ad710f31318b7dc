//! The state that all limits of a request share: the decisions of the limits, and the penalty that the handler
//! adds.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use actix_web::{HttpMessage, HttpRequest, http::header::HeaderMap};
use smallvec::SmallVec;

use crate::{
    Decision,
    applied_limits::AppliedLimits,
    lost_penalty,
    not_checked::Exemption,
    penalty::AddedUnits,
    response::{jitter, write_decision},
    settings::HttpSettings,
};

/// The state that all limits of a request share. The extensions of the request contain this state.
#[derive(Default)]
pub(crate) struct RequestState {
    /// All decisions on the request, in the order in which the limits decided: from the outermost limit to the
    /// innermost limit.
    decisions: RefCell<SmallVec<[Decision; 1]>>,
    /// The limits that have been applied to the request.
    pub(crate) applied: AppliedLimits,
    /// The extra units that the handler has added.
    pub(crate) penalty: Cell<AddedUnits>,
    /// The route of the request, if code has extracted a `Penalty` before any limit has handled the request.
    penalty_route: RefCell<Option<String>>,
    /// Whether a middleware has stored the response in the error of an inner middleware.
    pub(crate) has_stored_response: Cell<bool>,
    /// If `decisions` is empty, the reason why no limit has decided.
    undecided: Cell<UndecidedReason>,
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

    /// Stores a decision and returns its index in the list of decisions.
    pub(crate) fn push(&self, decision: Decision) -> usize {
        let mut decisions = self.decisions.borrow_mut();
        decisions.push(decision);
        decisions.len() - 1
    }

    /// Combines all decisions into one decision, which reports the numbers of the tightest limit. This is the limit
    /// with the fewest requests left or, in a denial, the limit for which the client has to wait longest.
    pub(crate) fn decision(&self) -> Option<Decision> {
        self.decisions.borrow().iter().cloned().reduce(Decision::and)
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
        self.decisions.borrow().get(index).cloned()
    }

    /// Replaces the decision with this index.
    pub(crate) fn set(&self, index: usize, decision: Decision) {
        if let Some(previous) = self.decisions.borrow_mut().get_mut(index) {
            *previous = decision;
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

/// The reason why no limit has decided on a request.
///
/// If limits have not decided for different reasons, the request has the last of these reasons, in the order of the
/// variants. If several limits exempt the request, the request has the exemption of the outermost limit.
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
    /// RateGuard rejected the request for another reason than a count, such as an access list. The handler does not
    /// run, so only other code, such as a middleware, finds this reason.
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

/// Writes the header fields that report the decisions on a request. `headers` contains the headers of the response
/// to this request.
pub(crate) fn write_request_decisions(
    settings: &HttpSettings,
    request: &HttpRequest,
    headers: &mut HeaderMap,
) {
    let Some(state) = RequestState::existing(request) else { return };
    let decisions = state.decisions.borrow();
    let combined;
    let decision = match &**decisions {
        [] => return,
        [one] => one,
        [first, others @ ..] => {
            combined = others.iter().cloned().fold(first.clone(), Decision::and);
            &combined
        }
    };
    // Only the response to a denied request has `Retry-After`, so only such a response needs jitter, which is a
    // random delay.
    let jitter = if decision.is_allowed() { 0 } else { jitter(settings, request) };
    write_decision(decision, settings, jitter, headers);
}
