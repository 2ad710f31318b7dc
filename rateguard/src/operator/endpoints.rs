//! The endpoints as actix-web calls them.

use std::{rc::Rc, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    dev::{AppService, HttpServiceFactory},
    http::{
        Method,
        header::{ALLOW, HeaderValue},
    },
    web,
};
use serde_json::Value;

use super::{
    answer::{answer, versioned},
    asked::{Banned, Explained, Found, Somebody, read},
    audit::Change,
    json,
    problem::Problem,
};
use crate::{
    BanningError, Outcome, PerRequest, RateGuard,
    http::{explain::Of, per_request::Chooser},
};

/// The endpoints of this guard, to be put into a scope of the application behind its own authentication. See the
/// [module](crate::operator) for what they are. They answer 403 until [`allow_if`](Endpoints::allow_if) says who may use them.
#[must_use]
pub fn endpoints(guard: &RateGuard) -> Endpoints {
    Endpoints { guard: guard.clone(), allowed: None }
}

/// Made by [`endpoints`], for `App::service` and `Scope::service`.
#[derive(Clone)]
pub struct Endpoints {
    guard: RateGuard,
    allowed: Option<Chooser<bool>>,
}

impl std::fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoints").field("has_consent", &self.allowed.is_some()).finish()
    }
}

impl Endpoints {
    /// Who may use them: a closure or function over `&HttpRequest`, which may be async, that returns a `bool`, or a `Result` of
    /// one whose error answers the request. It is asked before anything of the body is read.
    #[must_use]
    pub fn allow_if<Kind>(mut self, allowed: impl PerRequest<bool, Kind>) -> Self {
        self.allowed = Some(allowed.into_chooser());
        self
    }

    async fn answer(
        &self,
        endpoint: Endpoint,
        request: &HttpRequest,
        payload: web::Payload,
    ) -> HttpResponse {
        match &self.allowed {
            None => return Problem::nobody_may().answer(),
            Some(allowed) => match allowed.choose(request).await {
                Ok(true) => {}
                refused => {
                    if let Some(action) = endpoint.action() {
                        Change::new(action).log_forbidden(&self.guard, request);
                    }
                    return match refused {
                        Err(error) => HttpResponse::from_error(error),
                        Ok(_) => Problem::forbidden().answer(),
                    };
                }
            },
        }
        let method = endpoint.method();
        let is_head = *request.method() == Method::HEAD && method == Method::GET;
        if *request.method() != method && !is_head {
            let mut response = Problem::method(method.as_str()).answer();
            if let Ok(method) = HeaderValue::from_str(method.as_str()) {
                response.headers_mut().insert(ALLOW, method);
            }
            return response;
        }
        let answered = match endpoint {
            Endpoint::Inventory => Ok(json::inventory(&self.guard.inventory())),
            Endpoint::Policies => Ok(json::policies(&self.guard, &self.guard.policies_now())),
            Endpoint::Health => Ok(json::health(&self.guard)),
            Endpoint::Explain => self.explain(request, payload).await,
            Endpoint::Reset | Endpoint::Ban | Endpoint::Unban => {
                let mut change = Change::new(endpoint.action().unwrap_or_default());
                let answered = self.change(endpoint, request, payload, &mut change).await;
                change.log(&self.guard, request, &answered);
                answered
            }
        };
        answered.map_or_else(Problem::answer, answer)
    }

    /// Does what the endpoint is for, and notes in `change` what that is.
    async fn change(
        &self,
        endpoint: Endpoint,
        request: &HttpRequest,
        payload: web::Payload,
        change: &mut Change,
    ) -> Answered {
        let (somebody, seconds) = match endpoint {
            Endpoint::Ban => {
                let asked: Banned = read(request, payload).await?;
                change.set_seconds(asked.for_seconds);
                let seconds = asked.for_seconds;
                (asked.into_somebody(), seconds)
            }
            _ => (read::<Somebody>(request, payload).await?, 0.0),
        };
        change.set_policy(&somebody.policy);
        let length = Duration::try_from_secs_f64(seconds)
            .map_err(|_| Problem::bad(BanningError::Length.to_string()))?;
        let found = somebody.find(&self.guard)?;
        change.set_by(found.said["by"].as_str().unwrap_or_default());
        match endpoint {
            Endpoint::Ban => self.ban(found, length).await,
            Endpoint::Unban => self.unban(found).await,
            _ => self.reset(found).await,
        }
    }

    async fn explain(&self, request: &HttpRequest, payload: web::Payload) -> Answered {
        let mut asked: Explained = read(request, payload).await?;
        let Some(described) = asked.request.take() else {
            return self.explain_key(asked.into_somebody()?).await;
        };
        if asked.names_somebody() {
            return Err(Problem::bad(
                "a `request` says by itself whose it is; leave out `policy`, `key`, `address` and `by`",
            ));
        }
        let described = described.request()?;
        let limits = asked.limits.unwrap_or_default();
        let limits: Vec<&str> = limits.iter().map(String::as_str).collect();
        let known = self.guard.inventory();
        if !limits.iter().all(|name| known.limits().iter().any(|limit| limit.name == *name)) {
            return Err(Problem::unknown(
                "no limit has one of the names in `limits`; `GET inventory` has those that exist",
            ));
        }
        let explanation = self.guard.explain_for(Of::Described, &described, &limits).await;
        let body = json::explanation(&explanation);
        let outcomes = || explanation.limits().iter().map(|limit| &limit.outcome);
        whole(outcomes(), body)
    }

    async fn explain_key(&self, somebody: Somebody) -> Answered {
        let is_chosen = |name: &str| {
            let known = self.guard.inventory();
            known.limits().iter().any(|limit| limit.name == name && limit.is_per_request)
        };
        if is_chosen(&somebody.policy) {
            return Err(Problem::conflict(
                "how much this limit admits is chosen for each request; explain a `request`",
            ));
        }
        let Found { policy, key, address, said, .. } = somebody.find(&self.guard)?;
        let outcome = self.guard.explain_client(&policy, &key, address).await;
        let body = with(said, json::outcome(&outcome));
        let body = with(body, json::tried(&self.guard, &policy, &key));
        whole([&outcome], body)
    }

    async fn reset(&self, found: Found) -> Answered {
        let Found { policy, key, said, .. } = found;
        match self.guard.reset(&policy, &key).await {
            Ok(()) => Ok(said),
            Err(unavailable) => Err(Problem::unavailable(&unavailable, versioned(said))),
        }
    }

    async fn ban(&self, found: Found, length: Duration) -> Answered {
        let Found { policy, key, is_shared, said, .. } = found;
        if is_shared {
            return Err(Problem::conflict(
                "the network of this address has more clients than have keys of their own, and this one shares its key with others, which a ban would hold for as well; deny its address instead",
            ));
        }
        match self.guard.ban(&policy, &key, length).await {
            Ok(left) => Ok(with(said, json::ban(left))),
            Err(error) => Err(not_banned(error, said)),
        }
    }

    async fn unban(&self, found: Found) -> Answered {
        let Found { policy, key, said, .. } = found;
        match self.guard.unban(&policy, &key).await {
            Ok(()) => Ok(said),
            Err(error) => Err(not_banned(error, said)),
        }
    }
}

type Answered = Result<Value, Problem>;

#[derive(Clone, Copy)]
enum Endpoint {
    Inventory,
    Policies,
    Health,
    Explain,
    Reset,
    Ban,
    Unban,
}

impl Endpoint {
    const ALL: [(&'static str, Self); 7] = [
        ("/inventory", Self::Inventory),
        ("/policies", Self::Policies),
        ("/health", Self::Health),
        ("/explain", Self::Explain),
        ("/reset", Self::Reset),
        ("/ban", Self::Ban),
        ("/unban", Self::Unban),
    ];

    /// What it changes, if it changes anything.
    fn action(self) -> Option<&'static str> {
        match self {
            Self::Reset => Some("reset"),
            Self::Ban => Some("ban"),
            Self::Unban => Some("unban"),
            Self::Inventory | Self::Policies | Self::Health | Self::Explain => None,
        }
    }

    fn method(self) -> Method {
        match self {
            Self::Inventory | Self::Policies | Self::Health => Method::GET,
            Self::Explain | Self::Reset | Self::Ban | Self::Unban => Method::POST,
        }
    }
}

impl HttpServiceFactory for Endpoints {
    fn register(self, config: &mut AppService) {
        let this = Rc::new(self);
        for (path, endpoint) in Endpoint::ALL {
            let this = Rc::clone(&this);
            let handler = move |request: HttpRequest, payload: web::Payload| {
                let this = Rc::clone(&this);
                async move { this.answer(endpoint, &request, payload).await }
            };
            web::resource(path).to(handler).register(config);
        }
    }
}

/// What was said, if the store has answered everything that it was asked.
fn whole<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>, body: Value) -> Answered {
    let unavailable = outcomes.into_iter().find_map(|outcome| match outcome {
        Outcome::Unavailable(unavailable) => Some(unavailable),
        _ => None,
    });
    match unavailable {
        None => Ok(body),
        Some(unavailable) => Err(Problem::unavailable(unavailable, versioned(body))),
    }
}

fn not_banned(error: BanningError, said: Value) -> Problem {
    match error {
        BanningError::Unavailable(unavailable) => {
            Problem::unavailable(&unavailable, versioned(said))
        }
        BanningError::Length => Problem::bad(error.to_string()),
        _ => Problem::conflict(error.to_string()),
    }
}

/// Both, in one object.
fn with(mut one: Value, other: Value) -> Value {
    if let (Value::Object(fields), Value::Object(others)) = (&mut one, other) {
        fields.extend(others);
    }
    one
}
