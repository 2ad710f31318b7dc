//! The one way of a request through its limits, for middleware and attribute alike.

use std::{borrow::Cow, rc::Rc};

use actix_web::{HttpRequest, http::StatusCode};
use smallvec::SmallVec;

use super::{kept::Kept, refusal::Refusal, terms::OnDeniedBy};
use crate::{
    Count, Decision, Key, Policy, RateGuard, Request, Reservation, Unavailable,
    guard::{InForce, Line, Shadows},
};

/// What one limit asks of a request.
pub(super) struct Asked<'a> {
    pub(super) policy: Cow<'a, Policy>,
    /// Once it is enforced, as it stands in the store.
    pub(super) key: Key,
    /// Other clients of its network are counted under it, too, so nobody is banned for what happens to it.
    pub(super) is_shared: bool,
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
        let all = all.and_stored(&it.policy, it.key, it.cost);
        // It may be denied for places that are given back; there its answer may be an offence.
        if it.counts_always() && !it.is_shared { all } else { all.forgiven() }
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
    mut limits: AskedList<'a>,
    request: &HttpRequest,
) -> Result<Passed<'a>, Refusal> {
    limits.iter_mut().for_each(|it| it.key = guard.stored(&it.key));
    if limits.is_empty() {
        return Ok(Passed::uncounted(guard));
    }
    if limits.iter().all(|it| it.policy.is_in_shadow()) {
        // No client is told of it, and none waits for it.
        let shadows = self::request(guard, in_force, &limits).ask_in_shadow_alone();
        let shadows = shadows.map(|shadows| (Kept::of(request), shadows));
        return Ok(Passed { limits, shadows, ..Passed::uncounted(guard) });
    }
    if let [asked] = &*limits
        && asked.counts_always()
        && let Some(decision) = guard.check_at_once(&asked.policy, &asked.key, asked.cost)
    {
        return Passed::decided(guard, limits, decision, None, request);
    }
    // On the heap, as it is large.
    match Box::pin(ask(guard, in_force, &limits)).await {
        Ok((decision, reserved)) => Passed::decided(guard, limits, decision, reserved, request),
        Err(unavailable) if unavailable.lets_pass() => Ok(Passed::uncounted(guard)),
        Err(_) => Err(Refusal::Unavailable),
    }
}

/// Asks for all of them, and for a reservation if a place may have to be given back.
async fn ask(
    guard: &RateGuard,
    in_force: &InForce,
    limits: &[Asked<'_>],
) -> Result<(Decision, Option<Box<Reservation>>), Unavailable> {
    let asked = self::request(guard, in_force, limits);
    if limits.iter().all(Asked::counts_always) {
        return Ok((asked.check_by_asking().await?, None));
    }
    let reservation = Box::pin(asked.reserve()).await?;
    Ok((reservation.decision().clone(), Some(reservation.into())))
}

/// A request that was let through, until its answer is known.
pub(super) struct Passed<'a> {
    guard: &'a RateGuard,
    limits: AskedList<'a>,
    /// What is kept with the request, and the place of the decision there.
    decision: Option<(Rc<Kept>, usize)>,
    /// What is given back if the answer does not count.
    provisional: Option<Box<Reservation>>,
    /// The same where all limits are in shadow, and what is kept with the request.
    shadows: Option<(Rc<Kept>, Shadows)>,
}

impl<'a> Passed<'a> {
    pub(super) fn uncounted(guard: &'a RateGuard) -> Self {
        let limits = SmallVec::new();
        Self { guard, limits, decision: None, provisional: None, shadows: None }
    }

    /// What comes of a decision, which is kept with the request.
    fn decided(
        guard: &'a RateGuard,
        limits: AskedList<'a>,
        decision: Decision,
        provisional: Option<Box<Reservation>>,
        request: &HttpRequest,
    ) -> Result<Self, Refusal> {
        let kept = Kept::of(request);
        if decision.is_allowed() {
            let place = kept.push(decision);
            let decision = Some((kept, place));
            return Ok(Self { guard, limits, decision, provisional, shadows: None });
        }
        let denied_by = limits.iter().find(|it| it.policy.name() == decision.policy());
        let on_denied = denied_by.and_then(|it| it.on_denied.as_ref()).map(OnDeniedBy::shared);
        let place = kept.push(decision);
        Err(Refusal::Denied { kept, place, on_denied })
    }

    /// Whether nothing was decided.
    pub(super) fn is_uncounted(&self) -> bool {
        self.decision.is_none()
    }

    /// Gives back what this answer does not count for, charges what the handler has added, and bans who has given too many
    /// answers that count. What the limits have left then is kept with the request.
    pub(super) async fn answered(&mut self, status: StatusCode) {
        if let Some((kept, shadows)) = self.shadows.take() {
            shadows.give_back(|limit| !self.limits[limit].count.counts(status.as_u16()));
            // It is no other limit's penalty.
            let penalty = kept.penalty.take();
            if penalty > 0 {
                self.penalized(penalty).charge_in_shadow_alone();
            }
        }
        let Some((kept, place)) = &self.decision else { return };
        let penalty = kept.penalty.take();
        if penalty == 0 && self.limits.iter().all(Asked::counts_always) {
            return;
        }
        let Some(decision) = kept.get(*place) else { return };
        let (mut decided, provisional) =
            (Decided { decision, is_changed: false }, self.provisional.take());
        // On the heap, as it is large.
        Box::pin(self.settle(&mut decided, provisional, penalty, status)).await;
        if decided.is_changed {
            kept.set(*place, decided.decision);
        }
    }

    /// What the handler has added, of all limits.
    fn penalized(&self, penalty: u32) -> Request<'_> {
        self.limits.iter().fold(self.guard.request_for_none(), |all, it| {
            all.and_stored(&it.policy, it.key, penalty)
        })
    }

    async fn settle(
        &self,
        decided: &mut Decided,
        provisional: Option<Box<Reservation>>,
        penalty: u32,
        status: StatusCode,
    ) {
        let counts = |limit: usize| self.limits[limit].count.counts(status.as_u16());
        if let Some(reservation) = provisional
            && !(0..self.limits.len()).all(counts)
        {
            decided.change(reservation.refund_where(|limit| !counts(limit)).await, &NOT_GIVEN_BACK);
        }
        if penalty > 0 {
            decided.change(self.penalized(penalty).charge().await, &NOT_CHARGED);
        }
        for (place, limit) in self.limits.iter().enumerate() {
            if !limit.counts_always()
                && !limit.is_shared
                && counts(place)
                && let Some(ban) = self.guard.offence_against(&limit.policy, &limit.key).await
            {
                decided.decision = decided.decision.clone().banned(&limit.policy, ban);
                decided.is_changed = true;
            }
        }
    }

    /// What was decided, as it stands by now; `None` if nothing was.
    pub(super) fn decision(&self) -> Option<Decision> {
        let (kept, place) = self.decision.as_ref()?;
        kept.get(*place)
    }
}

/// What was decided on a request that has been answered.
struct Decided {
    decision: Decision,
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
}
