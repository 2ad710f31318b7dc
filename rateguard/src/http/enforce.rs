//! The one way of a request through a limit, for middleware and attribute alike.

use actix_web::{HttpMessage, HttpRequest, HttpResponse};

use super::refusal;
use crate::{Decision, Key, Policy, RateGuard};

/// Lets a request pass, or says what to answer instead.
///
/// What was decided is kept with the request, for its handler and its response.
pub(super) async fn enforce(
    guard: &RateGuard,
    policy: &Policy,
    key: &Key,
    request: &HttpRequest,
) -> Result<(), HttpResponse> {
    match guard.check(policy, key).await {
        Ok(decision) => {
            remember(decision, request);
            if decision.is_allowed() { Ok(()) } else { Err(refusal::denied()) }
        }
        Err(unavailable) if unavailable.lets_pass() => Ok(()),
        Err(_) => Err(refusal::unavailable()),
    }
}

/// Of all decisions on this request, the one that leaves the client least.
#[derive(Clone, Copy)]
struct Tightest(Decision);

fn remember(decision: Decision, request: &HttpRequest) {
    let mut extensions = request.extensions_mut();
    let tightest = match extensions.get::<Tightest>() {
        Some(Tightest(earlier)) => earlier.tighter(decision),
        None => decision,
    };
    extensions.insert(Tightest(tightest));
}

/// The tightest decision on this request so far, if there was one.
pub(super) fn decided(request: &HttpRequest) -> Option<Decision> {
    request.extensions().get::<Tightest>().map(|Tightest(decision)| *decision)
}
