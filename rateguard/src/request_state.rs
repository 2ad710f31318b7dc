//! The state of a request that its limits share: their decisions, and the penalty that the handler adds.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use actix_web::{HttpMessage, HttpRequest, http::header::HeaderMap};
use smallvec::SmallVec;

use crate::{
    Decision,
    response::{jitter, write_decision},
    settings::HttpSettings,
};

/// The state of a request that its limits share. The extensions of the request hold the state.
#[derive(Default)]
pub(crate) struct RequestState {
    /// All decisions on the request. The decision of the outermost limit is the first.
    decisions: RefCell<SmallVec<[Decision; 1]>>,
    /// The extra units to charge.
    pub(crate) penalty: Cell<u32>,
    /// Why there is no decision, if there is none.
    pub(crate) undecided: Cell<UndecidedReason>,
}

impl RequestState {
    /// Returns the state of this request. Creates the state if there is none.
    pub(crate) fn of(request: &HttpRequest) -> Rc<Self> {
        let mut extensions = request.extensions_mut();
        if let Some(state) = extensions.get::<Rc<Self>>() {
            return Rc::clone(state);
        }
        let state = Rc::<Self>::default();
        extensions.insert(Rc::clone(&state));
        state
    }

    /// Returns the state of this request, if a limit has created it.
    pub(crate) fn existing(request: &HttpRequest) -> Option<Rc<Self>> {
        request.extensions().get::<Rc<Self>>().cloned()
    }

    /// Stores a decision and returns its index.
    pub(crate) fn push(&self, decision: Decision) -> usize {
        let mut decisions = self.decisions.borrow_mut();
        decisions.push(decision);
        decisions.len() - 1
    }

    /// Combines all decisions. The combined decision reports the numbers of the tightest limit.
    pub(crate) fn decision(&self) -> Option<Decision> {
        self.decisions.borrow().iter().cloned().reduce(Decision::and)
    }

    /// Returns the decision at this index.
    pub(crate) fn get(&self, index: usize) -> Option<Decision> {
        self.decisions.borrow().get(index).cloned()
    }

    /// Replaces the decision at this index.
    pub(crate) fn set(&self, index: usize, decision: Decision) {
        if let Some(previous) = self.decisions.borrow_mut().get_mut(index) {
            *previous = decision;
        }
    }
}

/// Why no limit has decided on a request that reached its handler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UndecidedReason {
    /// No limit applies: the route has no limit, the request is exempt, or the plan is unlimited.
    #[default]
    NotLimited,
    /// All limits are in shadow, so no limit decides on the response.
    Shadow,
    /// The store did not answer, and the limit fails open, so the request passed.
    StoreUnavailable,
}

/// Writes the decisions on a request into the headers of its response.
pub(crate) fn write_headers(
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
    // Only a denial needs jitter, because only its response has `Retry-After`.
    let jitter = if decision.is_allowed() { 0 } else { jitter(settings, request) };
    write_decision(decision, settings, jitter, headers);
}
