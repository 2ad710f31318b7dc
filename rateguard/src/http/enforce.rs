//! The one way of a request through its limits, for middleware and attribute alike.

use std::borrow::Cow;

use actix_web::{HttpMessage, HttpRequest, http::StatusCode};
use smallvec::SmallVec;

use super::{penalty::Penalty, refusal::Refusal, terms::OnDeniedBy};
use crate::{
    Count, Decision, Key, Policy, RateGuard, Request, Reservation, Unavailable,
    guard::{InForce, Line},
};

/// What one limit asks of a request.
pub(super) struct Asked<'a> {
    pub(super) policy: Cow<'a, Policy>,
    pub(super) key: Key,
    pub(super) cost: u32,
    pub(super) count: Count,
    pub(super) on_denied: Option<OnDeniedBy<'a>>,
}

impl Asked<'_> {
    /// Whether the request counts however it is answered.
    fn counts_always(&self) -> bool {
        self.count == Count::All
    }
}

/// A request for all of them.
fn request<'a>(guard: &'a RateGuard, in_force: &InForce, limits: &'a [Asked<'_>]) -> Request<'a> {
    let none = guard.request_for_none().otherwise(in_force.on_error);
    limits.iter().fold(none, |all, it| {
        let all = all.and(&it.policy, &it.key).cost(it.cost);
        // It may be denied for places that are given back; there its answer may be an offence.
        if it.counts_always() { all } else { all.forgiven() }
    })
}

/// What the limits of one decision ask.
pub(super) type AskedList<'a> = SmallVec<[Asked<'a>; 1]>;

/// Lets a request pass all of these limits, or says why not.
///
/// What was decided is kept with the request, for its handler and its response.
pub(super) async fn enforce<'a>(
    guard: &'a RateGuard,
    in_force: &InForce,
    limits: AskedList<'a>,
    request: &HttpRequest,
) -> Result<Passed<'a>, Refusal> {
    if limits.is_empty() {
        return Ok(Passed::uncounted(guard));
    }
    let answer = {
        let asked = self::request(guard, in_force, &limits);
        if limits.iter().all(Asked::counts_always) {
            asked.check().await.map(|decision| (decision, None))
        } else {
            // Its place may have to be given back.
            asked.reserve().await.map(|it| (it.decision().clone(), Some(it)))
        }
    };
    match answer {
        Ok((decision, provisional)) => {
            let place = remember(decision.clone(), request);
            if !decision.is_allowed() {
                let denied_by = limits.iter().find(|it| it.policy.name() == decision.policy());
                let on_denied =
                    denied_by.and_then(|it| it.on_denied.as_ref()).map(OnDeniedBy::shared);
                return Err(Refusal::Denied { decision: decision.into(), on_denied });
            }
            let penalty = Some(Penalty::of(request));
            Ok(Passed { guard, limits, decision: Some((place, decision)), provisional, penalty })
        }
        Err(unavailable) if unavailable.lets_pass() => Ok(Passed::uncounted(guard)),
        Err(_) => Err(Refusal::Unavailable),
    }
}

/// A request that was let through, until its answer is known.
pub(super) struct Passed<'a> {
    guard: &'a RateGuard,
    limits: AskedList<'a>,
    /// The decision, and its place among those on the request.
    decision: Option<(usize, Decision)>,
    /// What is given back if the answer does not count.
    provisional: Option<Reservation>,
    /// What the handler adds.
    penalty: Option<Penalty>,
}

impl<'a> Passed<'a> {
    pub(super) fn uncounted(guard: &'a RateGuard) -> Self {
        Self { guard, limits: SmallVec::new(), decision: None, provisional: None, penalty: None }
    }

    /// Whether nothing was decided.
    pub(super) fn is_uncounted(&self) -> bool {
        self.decision.is_none()
    }

    /// Gives back what this answer does not count for, charges what the handler has added, bans who has given too many
    /// answers that count, and says what was decided, with what the limits have left then.
    pub(super) async fn answered(self, status: StatusCode) -> Option<Decided> {
        let (place, decision) = self.decision?;
        let mut decided = Decided { place, decision, is_changed: false };
        let counts = |limit: usize| self.limits[limit].count.counts(status.as_u16());
        if let Some(reservation) = self.provisional
            && !(0..self.limits.len()).all(counts)
        {
            decided.change(reservation.refund_where(|limit| !counts(limit)).await, &NOT_GIVEN_BACK);
        }
        let penalty = self.penalty.map_or(0, |penalty| penalty.take());
        if penalty > 0 {
            let charge = self.limits.iter().fold(self.guard.request_for_none(), |all, it| {
                all.and(&it.policy, &it.key).cost(penalty)
            });
            decided.change(charge.charge().await, &NOT_CHARGED);
        }
        for (place, limit) in self.limits.iter().enumerate() {
            if !limit.counts_always()
                && counts(place)
                && let Some(ban) = self.guard.offence_against(&limit.policy, &limit.key).await
            {
                decided.decision = decided.decision.banned(&limit.policy, ban);
                decided.is_changed = true;
            }
        }
        Some(decided)
    }
}

/// What was decided on a request that has been answered.
pub(super) struct Decided {
    place: usize,
    pub(super) decision: Decision,
    is_changed: bool,
}

/// A line for the log about what was to be done after the answer, and was not.
struct Undone {
    what: &'static str,
    line: Line,
}

static NOT_GIVEN_BACK: Undone =
    Undone { what: "not given back, so they count though they should not", line: Line::new() };
static NOT_CHARGED: Undone = Undone { what: "penalties not charged", line: Line::new() };

impl Decided {
    /// How things stand after what was done, if it was.
    fn change(&mut self, answer: Result<Decision, Unavailable>, undone: &Undone) {
        match answer {
            Ok(decision) => {
                self.decision = decision;
                self.is_changed = true;
            }
            Err(unavailable) => {
                if let Some(requests) = undone.line.say() {
                    log::warn!(
                        target: "rateguard",
                        "{}: {}; {requests} requests since the last line like this",
                        undone.what, unavailable.cause()
                    );
                }
            }
        }
    }

    /// Keeps the numbers as they are now with the request.
    pub(super) fn remember(self, request: &HttpRequest) {
        if self.is_changed
            && let Some(Decisions(decisions)) = request.extensions_mut().get_mut()
            && let Some(earlier) = decisions.get_mut(self.place)
        {
            *earlier = self.decision;
        }
    }
}

/// All decisions on this request, the outermost first.
struct Decisions(SmallVec<[Decision; 1]>);

/// Keeps a decision and says at which place.
fn remember(decision: Decision, request: &HttpRequest) -> usize {
    let mut extensions = request.extensions_mut();
    if let Some(Decisions(decisions)) = extensions.get_mut() {
        decisions.push(decision);
        return decisions.len() - 1;
    }
    extensions.insert(Decisions(SmallVec::from_iter([decision])));
    0
}

/// All that was decided on this request so far, as one decision, if there was any.
pub(super) fn decided(request: &HttpRequest) -> Option<Decision> {
    let extensions = request.extensions();
    let Decisions(decisions) = extensions.get()?;
    decisions.iter().cloned().reduce(Decision::and)
}
