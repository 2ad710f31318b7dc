//! What the attribute expands to: a call of [`limited`] with a [`Limit`] or several.

use std::{
    panic::Location,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Responder, web};

use smallvec::SmallVec;

use super::{
    client,
    enforce::{Asked, decided, enforce},
    handler_name::handler_name,
    headers::write_decision,
    refusal,
};
use crate::{
    Count, Key, OnError, Policy, Quotas, RateGuard,
    guard::{Claim, Line},
};

/// The limit of one attribute. It lives as long as the program.
pub struct Limit {
    policy: Policy,
    count: Count,
    place: &'static Location<'static>,
    has_name: bool,
    /// The guard that knows that this limit uses its name.
    known_to: AtomicUsize,
}

impl Limit {
    /// Without a name, `handler` gives it: any function item within the handler; and of several limits on one handler,
    /// its number, from 1 on.
    #[track_caller]
    pub fn new<F>(
        name: Option<&'static str>,
        handler: F,
        number: usize,
        quotas: Quotas,
        on_error: Option<OnError>,
        count: Count,
    ) -> Self {
        let has_name = name.is_some();
        let policy = match (name, number) {
            (Some(name), _) => Policy::of_attribute(name, quotas, on_error),
            (None, 1) => Policy::of_attribute(&handler_name(handler), quotas, on_error),
            (None, _) => {
                let name = format!("{}#{number}", handler_name(handler));
                Policy::of_attribute(&name, quotas, on_error)
            }
        };
        Self { policy, count, place: Location::caller(), has_name, known_to: AtomicUsize::new(0) }
    }

    /// Whether no other limit on this guard would mix its counts with those of this one.
    fn may_use_its_name(&self, guard: &RateGuard) -> bool {
        if self.known_to.load(Relaxed) == guard.id() {
            return true;
        }
        let unnamed_at = (!self.has_name).then_some(self.place);
        match guard.claim(Claim { policy: &self.policy, unnamed_at }) {
            Ok(()) => {
                self.known_to.store(guard.id(), Relaxed);
                true
            }
            Err(conflict) => {
                static LINE: Line = Line::new();
                if LINE.say().is_some() {
                    log::error!(target: "rateguard", "{conflict}. The handler of the second answers 500 until then");
                }
                false
            }
        }
    }
}

/// What a limit asks of a request: its key and its cost.
pub type AskedBy<'a> = (&'a Limit, Key, u32);

/// A handler as actix-web calls it, with limits in front: the check, then the extractors, then the function.
///
/// Without a `guard` it takes that of the application's data.
pub async fn limited<H, Args, const LIMITS: usize>(
    guard: Option<&RateGuard>,
    limits: impl FnOnce(&HttpRequest) -> [AskedBy<'static>; LIMITS],
    handler: H,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse
where
    H: Handler<Args, Output: Responder<Body: 'static>>,
    Args: FromRequest,
{
    let guard = guard.or_else(|| guard_of(&request));
    if let Some(guard) = guard {
        client::find(guard, &request);
    }
    let limits = limits(&request);
    let Some(guard) = guard else {
        static LINE: Line = Line::new();
        if LINE.say().is_some() {
            log::error!(
                target: "rateguard",
                "`{}` is rate-limited, but there is no `RateGuard` in the application's data; add `.app_data(guard.clone())` to the `App` or `limiter = …` to the attribute. It answers 500 until then",
                limits.first().map_or("", |(limit, ..)| limit.policy.name())
            );
        }
        return refusal::misconfigured();
    };
    if !limits.iter().all(|(limit, ..)| limit.may_use_its_name(guard)) {
        return refusal::misconfigured();
    }
    let asked: SmallVec<[Asked<'_>; 1]> = limits
        .iter()
        .map(|(limit, key, cost)| Asked {
            policy: &limit.policy,
            key: *key,
            cost: *cost,
            count: limit.count,
        })
        .collect();

    let mut response = match enforce(guard, &asked, &request).await {
        Err(refusal) => refusal,
        Ok(passed) => {
            let response = match Args::from_request(&request, &mut payload.into_inner()).await {
                Ok(arguments) => {
                    handler.call(arguments).await.respond_to(&request).map_into_boxed_body()
                }
                Err(error) => HttpResponse::from_error(error),
            };
            if let Some(decided) = passed.answered(response.status()).await {
                decided.remember(&request);
            }
            response
        }
    };
    if let Some(decision) = decided(&request) {
        write_decision(&decision, response.headers_mut());
    }
    response
}

fn guard_of(request: &HttpRequest) -> Option<&RateGuard> {
    request.app_data().or_else(|| request.app_data::<web::Data<RateGuard>>().map(|data| &***data))
}
