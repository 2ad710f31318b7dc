//! The one way of a request through its limits, for middleware and attribute alike.

use actix_web::{HttpMessage, HttpRequest, HttpResponse, http::StatusCode};
use smallvec::SmallVec;

use super::refusal;
use crate::{Count, Decision, Key, Policy, RateGuard, Reservation, guard::Line};

/// What one limit asks of a request.
pub(super) struct Asked<'a> {
    pub(super) policy: &'a Policy,
    pub(super) key: Key,
    pub(super) cost: u32,
    pub(super) count: Count,
}

/// Lets a request pass all of these limits, of which there is at least one, or says what to answer instead.
///
/// What was decided is kept with the request, for its handler and its response.
pub(super) async fn enforce(
    guard: &RateGuard,
    limits: &[Asked<'_>],
    request: &HttpRequest,
) -> Result<Passed, HttpResponse> {
    let [first, others @ ..] = limits else { return Ok(Passed::uncounted()) };
    let asked = guard.request(first.policy, &first.key).cost(first.cost);
    let asked = others.iter().fold(asked, |all, it| all.and(it.policy, &it.key).cost(it.cost));

    let answer = if limits.iter().all(|limit| limit.count == Count::All) {
        asked.check().await.map(|decision| (decision, None))
    } else {
        // Its place may have to be given back.
        asked.reserve().await.map(|reservation| {
            let counts = limits.iter().map(|limit| limit.count).collect();
            (reservation.decision().clone(), Some(Provisional { reservation, counts }))
        })
    };
    match answer {
        Ok((decision, provisional)) => {
            let (is_allowed, is_too_costly) = (decision.is_allowed(), decision.is_too_costly());
            let own = decision.clone();
            let place = remember(decision, request);
            if is_allowed {
                Ok(Passed { decision: Some((place, own)), provisional })
            } else {
                Err(if is_too_costly { refusal::too_costly() } else { refusal::denied() })
            }
        }
        Err(unavailable) if unavailable.lets_pass() => Ok(Passed::uncounted()),
        Err(_) => Err(refusal::unavailable()),
    }
}

/// A request that was let through, until its answer is known.
pub(super) struct Passed {
    /// The decision, and its place among those on the request.
    decision: Option<(usize, Decision)>,
    provisional: Option<Provisional>,
}

/// What is given back if the answer does not count.
struct Provisional {
    reservation: Reservation,
    /// By limit: which answers count.
    counts: SmallVec<[Count; 1]>,
}

impl Passed {
    fn uncounted() -> Self {
        Self { decision: None, provisional: None }
    }

    /// Whether nothing was decided.
    pub(super) fn is_uncounted(&self) -> bool {
        self.decision.is_none()
    }

    /// Gives back what this answer does not count for, and says what was decided, with what the limits have left then.
    pub(super) async fn answered(self, status: StatusCode) -> Option<Decided> {
        let (place, decision) = self.decision?;
        let unchanged = Decided { place, decision, is_changed: false };
        let Some(Provisional { reservation, counts }) = self.provisional else {
            return Some(unchanged);
        };
        let gives_back = |limit: usize| !counts[limit].counts(status.as_u16());
        if !(0..counts.len()).any(gives_back) {
            return Some(unchanged);
        }
        match reservation.refund_where(gives_back).await {
            Ok(decision) => Some(Decided { place, decision, is_changed: true }),
            Err(unavailable) => {
                // It counts, then, which is no harm to the limit.
                static LINE: Line = Line::new();
                if let Some(requests) = LINE.say() {
                    log::warn!(
                        target: "rateguard",
                        "not given back: {}; {requests} requests count that should not since the last line like this",
                        unavailable.cause()
                    );
                }
                Some(unchanged)
            }
        }
    }
}

/// What was decided on a request that has been answered.
pub(super) struct Decided {
    place: usize,
    pub(super) decision: Decision,
    is_changed: bool,
}

impl Decided {
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
