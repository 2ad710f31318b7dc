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
    in_force::{in_force, named, quotas_of},
    kept::write_decided,
    refusal::{self, Refusal},
    terms::{OnDeniedBy, Terms, address_admitted},
};
use crate::{
    AccessList, Ban, Caller, Count, Decision, MissingKey, OnError, Plan, Policy, Quotas, RateGuard,
    guard::{Claim, InForce, Line, Said, Tried},
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
    /// What of it refuses nobody.
    pub tried: Option<Tried>,
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
        let Settings { name, number, ban, tried, on_error, .. } = settings;
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
            policy.escalating(ban).trying(tried)
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
    pub fn applies_to(&self, in_force: &InForce, request: &HttpRequest) -> bool {
        self.terms.apply_to(self.said(in_force), request)
    }

    /// Who makes the request, if that goes before what the attribute says.
    pub fn caller(&self, in_force: &InForce, request: &HttpRequest) -> Option<Caller> {
        self.said(in_force).key.as_ref().map(|key| key.caller(request))
    }

    /// What the request costs, if that goes before what the attribute says.
    pub fn cost(&self, in_force: &InForce) -> Option<u32> {
        self.said(in_force).cost
    }

    pub(super) fn said<'a>(&self, in_force: &'a InForce) -> &'a Said {
        match &self.policy {
            Policied::Named(name) => {
                in_force.known_policy(name).map_or(Said::NOTHING, |it| &it.said)
            }
            Policied::Fixed(_) | Policied::PerRequest(_) => Said::NOTHING,
        }
    }

    /// The policy without the quotas that are chosen for each request, if the guard has one, and no other limit on the
    /// guard would mix its counts with those of this one.
    fn policy<'a>(
        &'a self,
        guard: &RateGuard,
        in_force: &'a InForce,
    ) -> Result<&'a Policy, Refusal> {
        let claim = match self.claim() {
            Ok(claim) => claim,
            Err(name) => {
                let place = format_args!("the attribute at {}", self.place);
                // The guard has noted the names of its policies itself.
                let policy = named(in_force, name, place).map(|named| &named.policy)?;
                self.note_met(guard);
                return Ok(policy);
            }
        };
        let policy = claim.policy;
        if self.known_to.load(Relaxed) == guard.id() {
            return Ok(policy);
        }
        match guard.claim(claim) {
            Ok(()) => {
                self.note_met(guard);
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

    /// The name that it uses, or else that of the guard's policy that it takes.
    fn claim(&self) -> Result<Claim<'_>, &'static str> {
        let (policy, is_fixed) = match &self.policy {
            Policied::Fixed(policy) => (policy, true),
            Policied::PerRequest(policy) => (policy, false),
            Policied::Named(name) => return Err(name),
        };
        let unnamed_at = (!self.has_name).then_some(self.place);
        Ok(Claim { policy, is_fixed, unnamed_at })
    }

    /// Whether another limit on the guard has its name, and means something else by it.
    pub(super) fn has_foreign_name(&self, guard: &RateGuard) -> bool {
        self.claim().is_ok_and(|claim| !guard.admits(&claim))
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
        in_force: &'a InForce,
        lists: &[&AccessList],
        request: &HttpRequest,
    ) -> Result<Option<Asked<'a>>, Refusal> {
        let Limit { terms, .. } = self.limit;
        let mut policy = Cow::Borrowed(self.limit.policy(guard, in_force)?);
        let said = self.limit.said(in_force);
        let caller = self.caller.map_err(Refusal::Error)?;
        // Who is on a list is refused whatever its plan is.
        let Some(key) = terms.key(said, caller, lists, request)? else { return Ok(None) };
        if let Some(plan) = self.plan.transpose().map_err(Refusal::Error)? {
            let Some(quotas) = quotas_of(plan, in_force)? else { return Ok(None) };
            policy = Cow::Owned(policy.with_quotas(quotas));
        }
        let on_denied = self.on_denied.map(OnDeniedBy::Function);
        Ok(Some(Asked { on_denied, ..terms.asked(said, policy, key, self.cost) }))
    }
}

/// A handler as actix-web calls it, with limits in front: the check, then the extractors, then the function.
///
/// Without a `guard` it takes that of the application's data.
pub async fn limited<H, Args, const LIMITS: usize>(
    guard: Option<&RateGuard>,
    limits: impl AsyncFnOnce(&InForce, &HttpRequest) -> [AskedBy; LIMITS],
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

    let in_force = in_force(guard, &request);
    #[cfg(feature = "test-util")]
    if let Some(survey) = super::survey::Survey::of(&request) {
        client::find_quietly(guard, &request);
        survey.note(limits(&in_force, &request).await.iter().any(|asked| asked.applies));
        return super::survey::Survey::answer();
    }
    let mut response = match admit(guard, &in_force, limits, &request).await {
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
    in_force: &'a InForce,
    limits: impl AsyncFnOnce(&InForce, &HttpRequest) -> [AskedBy; LIMITS],
    request: &HttpRequest,
) -> Result<Passed<'a>, Refusal> {
    client::find(guard, request);
    let lists = [&in_force.access, &guard.http().access];
    if address_admitted(&lists, request)? {
        return Ok(Passed::uncounted(guard));
    }
    let mut asked = AskedList::new();
    for limit in limits(in_force, request).await {
        asked.extend(limit.asked(guard, in_force, &lists, request)?);
    }
    enforce(guard, in_force, asked, request).await
}

fn guard_of(request: &HttpRequest) -> Option<&RateGuard> {
    request.app_data().or_else(|| request.app_data::<web::Data<RateGuard>>().map(|data| &***data))
}
