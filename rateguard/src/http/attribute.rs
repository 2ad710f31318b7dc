//! What the attribute expands to: a call of [`limited`] with a [`Limit`] or several.

use std::{
    borrow::Cow,
    panic::Location,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use actix_web::{
    Error, FromRequest, Handler, HttpRequest, HttpResponse, Responder, http::Method, web,
};

use super::{
    client,
    enforce::{Asked, AskedList, Passed, enforce},
    handler_name::handler_name,
    kept::write_decided,
    refusal::{self, Refusal},
    terms::{OnDeniedBy, Terms, address_admitted},
};
use crate::{
    AccessList, Ban, Caller, Count, Decision, MissingKey, OnError, Plan, Policy, Quotas, RateGuard,
    guard::{Claim, Line},
    policy::CHOSEN_LATER,
};

/// What an attribute says, but for what it says of each request.
pub struct Settings {
    /// Its name, if it has one.
    pub name: Option<&'static str>,
    /// Which of several limits on one handler it is, from 1 on.
    pub number: usize,
    /// How much it admits.
    pub allowance: Allowance,
    /// Who is banned.
    pub ban: Option<Ban>,
    /// What happens when the store does not answer.
    pub on_error: Option<OnError>,
    /// Which answers count.
    pub count: Count,
    /// What happens to requests without a key.
    pub missing: MissingKey,
    /// The methods it is for; if there are none, all.
    pub methods: &'static [&'static str],
}

/// What a denied request is answered.
pub type OnDenied = fn(&HttpRequest, &Decision) -> HttpResponse;

/// How much a limit admits.
pub enum Allowance {
    /// As much for everybody.
    Fixed(Quotas),
    /// What is chosen for each request.
    PerRequest,
    /// What the guard's policy of this name says.
    Named(&'static str),
}

/// The limit of one attribute. It lives as long as the program.
pub struct Limit {
    pub(super) policy: Policied,
    pub(super) terms: Terms,
    pub(super) place: &'static Location<'static>,
    has_name: bool,
    /// The guard that knows that this limit uses its name.
    pub(super) known_to: AtomicUsize,
}

pub(super) enum Policied {
    Fixed(Policy),
    /// With quotas that stand for those that are chosen.
    PerRequest(Policy),
    Named(&'static str),
}

impl Limit {
    /// Without a name, `_handler` gives it: any function item within the handler; and of several limits on one handler,
    /// its number, from 1 on.
    #[track_caller]
    pub fn new<F>(settings: Settings, _handler: F) -> Self {
        let Settings { name, number, ban, on_error, .. } = settings;
        let policy = |quotas| {
            let policy = match (name, number) {
                (Some(name), _) => Policy::of_attribute(name, quotas, on_error),
                (None, number) => {
                    let mut name = handler_name::<F>();
                    if number > 1 {
                        name = format!("{name}#{number}");
                    }
                    Policy::of_attribute(&name, quotas, on_error).named_by_path()
                }
            };
            policy.escalating(ban)
        };
        let policy = match settings.allowance {
            Allowance::Fixed(quotas) => Policied::Fixed(policy(quotas)),
            Allowance::PerRequest => Policied::PerRequest(policy(Quotas::from(CHOSEN_LATER))),
            Allowance::Named(name) => Policied::Named(name),
        };
        // What is no method was refused when the attribute was compiled.
        let methods =
            settings.methods.iter().filter_map(|it| Method::from_bytes(it.as_bytes()).ok());
        let terms = Terms {
            methods: methods.collect(),
            missing: settings.missing,
            count: settings.count,
            ..Terms::default()
        };
        let place = Location::caller();
        Self { policy, terms, place, has_name: name.is_some(), known_to: AtomicUsize::new(0) }
    }

    /// Whether the limit is for this request.
    pub fn applies_to(&self, request: &HttpRequest) -> bool {
        self.terms.apply_to(request)
    }

    /// The policy without the quotas that are chosen for each request, if the guard has one, and no other limit on the
    /// guard would mix its counts with those of this one.
    fn policy<'a>(&'a self, guard: &'a RateGuard) -> Result<&'a Policy, Refusal> {
        let (policy, is_fixed) = match &self.policy {
            Policied::Fixed(policy) => (policy, true),
            Policied::PerRequest(policy) => (policy, false),
            Policied::Named(name) => match guard.policy(name) {
                Some(policy) => (policy, true),
                None => {
                    static LINE: Line = Line::new();
                    if LINE.say().is_some() {
                        log::error!(
                            target: "rateguard",
                            "the attribute at {} names the policy `{name}`, which its guard was not given: `RateGuard::builder().policy(…)`. Its handler answers 500 until then",
                            self.place
                        );
                    }
                    return Err(Refusal::Misconfigured);
                }
            },
        };
        if self.known_to.load(Relaxed) == guard.id() {
            return Ok(policy);
        }
        let is_named = self.has_name || matches!(self.policy, Policied::Named(_));
        let unnamed_at = (!is_named).then_some(self.place);
        match guard.claim(Claim { policy, is_fixed, unnamed_at }) {
            Ok(()) => {
                self.known_to.store(guard.id(), Relaxed);
                Ok(policy)
            }
            Err(conflict) => {
                static LINE: Line = Line::new();
                if LINE.say().is_some() {
                    log::error!(target: "rateguard", "{conflict}. The handler of the second answers 500 until then");
                }
                Err(Refusal::Misconfigured)
            }
        }
    }
}

/// What a limit asks of a request.
pub struct AskedBy {
    limit: &'static Limit,
    /// The limit is for this request.
    pub(super) applies: bool,
    pub(super) caller: Result<Caller, Error>,
    pub(super) plan: Option<Result<Plan, Error>>,
    pub(super) cost: u32,
    on_denied: Option<OnDenied>,
}

impl AskedBy {
    /// So much of this caller, under a plan if that is chosen for each request.
    #[must_use]
    pub fn new(
        limit: &'static Limit,
        caller: Result<Caller, Error>,
        plan: Option<Result<Plan, Error>>,
        cost: u32,
        on_denied: Option<OnDenied>,
    ) -> Self {
        Self { limit, applies: true, caller, plan, cost, on_denied }
    }

    /// Nothing.
    #[must_use]
    pub fn exempt(limit: &'static Limit) -> Self {
        Self { applies: false, ..Self::new(limit, Ok(Caller::Exempt), None, 0, None) }
    }

    fn asked<'a>(
        self,
        guard: &'a RateGuard,
        lists: &[&AccessList],
        request: &HttpRequest,
    ) -> Result<Option<Asked<'a>>, Refusal> {
        let mut policy = Cow::Borrowed(self.limit.policy(guard)?);
        let caller = self.caller.map_err(Refusal::Error)?;
        // Who is on a list is refused whatever its plan is.
        let Some(key) = self.limit.terms.key(caller, lists, request)? else { return Ok(None) };
        match self.plan.transpose().map_err(Refusal::Error)? {
            None => {}
            Some(Plan::Unlimited) => return Ok(None),
            Some(Plan::Limited(quotas)) => policy = Cow::Owned(policy.with_quotas(quotas)),
        }
        let on_denied = self.on_denied.map(OnDeniedBy::Function);
        Ok(Some(Asked { on_denied, ..self.limit.terms.asked(policy, key, self.cost) }))
    }
}

/// A handler as actix-web calls it, with limits in front: the check, then the extractors, then the function.
///
/// Without a `guard` it takes that of the application's data.
pub async fn limited<H, Args, const LIMITS: usize>(
    guard: Option<&RateGuard>,
    limits: impl AsyncFnOnce(&HttpRequest) -> [AskedBy; LIMITS],
    handler: H,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse
where
    H: Handler<Args, Output: Responder<Body: 'static>>,
    Args: FromRequest,
{
    let Some(guard) = guard.or_else(|| guard_of(&request)) else {
        static LINE: Line = Line::new();
        if LINE.say().is_some() {
            log::error!(
                target: "rateguard",
                "`{}` is rate-limited, but there is no `RateGuard` in the application's data; add `.app_data(guard.clone())` to the `App` or `limiter = …` to the attribute. It answers 500 until then",
                handler_name::<H>()
            );
        }
        return refusal::misconfigured();
    };

    #[cfg(feature = "test-util")]
    if let Some(survey) = super::survey::Survey::of(&request) {
        client::find_quietly(guard, &request);
        survey.note(limits(&request).await.iter().any(|asked| asked.applies));
        return super::survey::Survey::answer();
    }

    let mut response = match admit(guard, limits, &request).await {
        Err(refusal) => refusal.answer(guard.http(), &request),
        Ok(mut passed) => {
            let response = match Args::from_request(&request, &mut payload.into_inner()).await {
                Ok(arguments) => {
                    handler.call(arguments).await.respond_to(&request).map_into_boxed_body()
                }
                Err(error) => HttpResponse::from_error(error),
            };
            passed.answered(response.status()).await;
            response
        }
    };
    write_decided(guard, &request, response.headers_mut());
    response
}

async fn admit<'a, const LIMITS: usize>(
    guard: &'a RateGuard,
    limits: impl AsyncFnOnce(&HttpRequest) -> [AskedBy; LIMITS],
    request: &HttpRequest,
) -> Result<Passed<'a>, Refusal> {
    client::find(guard, request);
    let lists = [&guard.http().access];
    if address_admitted(&lists, request)? {
        return Ok(Passed::uncounted(guard));
    }
    let mut asked = AskedList::new();
    for limit in limits(request).await {
        asked.extend(limit.asked(guard, &lists, request)?);
    }
    enforce(guard, asked, request).await
}

fn guard_of(request: &HttpRequest) -> Option<&RateGuard> {
    request.app_data().or_else(|| request.app_data::<web::Data<RateGuard>>().map(|data| &***data))
}
