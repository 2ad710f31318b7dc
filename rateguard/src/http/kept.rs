//! What limits keep with a request: what they have decided on it, and what its handler adds.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use actix_web::{HttpMessage, HttpRequest, http::header::HeaderMap};
use smallvec::SmallVec;

use super::headers::{jitter, write_decision};
use crate::{Decision, RateGuard};

/// What limits keep with a request.
#[derive(Default)]
pub(super) struct Kept {
    /// All decisions on it, the outermost first.
    decisions: RefCell<SmallVec<[Decision; 1]>>,
    /// What is charged beyond its cost.
    pub(super) penalty: Cell<u32>,
}

impl Kept {
    /// That of this request.
    pub(super) fn of(request: &HttpRequest) -> Rc<Self> {
        let mut extensions = request.extensions_mut();
        if let Some(kept) = extensions.get::<Rc<Self>>() {
            return Rc::clone(kept);
        }
        let kept = Rc::<Self>::default();
        extensions.insert(Rc::clone(&kept));
        kept
    }

    fn known(request: &HttpRequest) -> Option<Rc<Self>> {
        request.extensions().get::<Rc<Self>>().cloned()
    }

    /// Keeps a decision, and says at which place.
    pub(super) fn push(&self, decision: Decision) -> usize {
        let mut decisions = self.decisions.borrow_mut();
        decisions.push(decision);
        decisions.len() - 1
    }

    /// The decision at this place.
    pub(super) fn get(&self, place: usize) -> Option<Decision> {
        self.decisions.borrow().get(place).cloned()
    }

    /// How things stand there by now.
    pub(super) fn set(&self, place: usize, decision: Decision) {
        if let Some(earlier) = self.decisions.borrow_mut().get_mut(place) {
            *earlier = decision;
        }
    }
}

/// All that was decided on this request so far, as one decision, if there was any.
pub(super) fn decided(request: &HttpRequest) -> Option<Decision> {
    let kept = Kept::known(request)?;
    let decisions = kept.decisions.borrow();
    decisions.iter().cloned().reduce(Decision::and)
}

/// Tells the client of it.
pub(super) fn write_decided(guard: &RateGuard, request: &HttpRequest, headers: &mut HeaderMap) {
    let Some(kept) = Kept::known(request) else { return };
    let decisions = kept.decisions.borrow();
    let several;
    let decision = match &**decisions {
        [] => return,
        [one] => one,
        [first, others @ ..] => {
            several = others.iter().cloned().fold(first.clone(), Decision::and);
            &several
        }
    };
    // Only who has to wait is told how long.
    let jitter = if decision.is_allowed() { 0 } else { jitter(guard.http(), request) };
    write_decision(decision, guard.http(), jitter, headers);
}
