//! The endpoints for operators, as a service of actix-web.

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

#[cfg(feature = "dashboard")]
use super::statistics;
use super::{
    audit::AuditEntry,
    authorization::{Authorization, Denied},
    endpoint::Endpoint,
    json, overrides,
    problem::{EndpointResult, Problem},
    request_body::{BanBody, KeySelector, SelectedKey, read},
    response::{json_response, merge, with_version},
};
use crate::{PerRequest, RateGuard, error::BanError, explain::Outcome};

/// Returns the endpoints of this guard. The documentation of the [module](crate::operator) describes their requests
/// and responses.
///
/// Without [`allow_token`](Endpoints::allow_token) or [`allow_if`](Endpoints::allow_if), the endpoints reject every
/// request with 403.
#[must_use]
pub fn endpoints(guard: &RateGuard) -> Endpoints {
    Endpoints { guard: guard.clone(), authorization: Authorization::default() }
}

/// The operator endpoints of a guard. An application registers them with `App::service` or `Scope::service`. The
/// function
/// [`endpoints`] returns this value.
#[derive(Clone)]
pub struct Endpoints {
    guard: RateGuard,
    authorization: Authorization,
}

impl std::fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Authorization { allowed, token } = &self.authorization;
        f.debug_struct("Endpoints")
            .field("has_allow_if", &allowed.is_some())
            .field("has_token", &token.is_some())
            .finish()
    }
}

impl Endpoints {
    /// Sets the function that authorizes requests. The endpoint calls the function before it reads the request
    /// body.
    ///
    /// `allowed` is a closure or function that takes `&HttpRequest`. The function can be async. The function returns a
    /// `bool`, or a `Result` with a `bool`. If the result is `false`, the endpoint rejects the request with 403. If the
    /// result is an error, the error becomes the response.
    #[must_use]
    pub fn allow_if<Kind>(mut self, allowed: impl PerRequest<bool, Kind>) -> Self {
        self.authorization.allowed = Some(allowed.into_resolver());
        self
    }

    /// Sets the token that authorizes requests. A tool sends the token in the header `Authorization: Bearer TOKEN`. A
    /// browser asks for a user and a password: every user is correct, and the password is the token. Without the token,
    /// the endpoint rejects the request with 401.
    ///
    /// The token should be random and have at least 16 characters. The endpoint compares it in constant time. An empty
    /// token matches no request. Use TLS, because a request contains the token as it is. If the application also sets
    /// [`allow_if`](Self::allow_if), a request needs both.
    ///
    /// ```
    /// # use actix_rateguard::{RateGuard, operator};
    /// # fn app(guard: &RateGuard, token: String) -> operator::Endpoints {
    /// operator::endpoints(guard).allow_token(token)
    /// # }
    /// ```
    #[must_use]
    pub fn allow_token(mut self, token: impl Into<String>) -> Self {
        self.authorization.token = Some(token.into());
        self
    }

    /// Returns the response to a request that is not authorized. `action` is its name in the audit log.
    async fn rejection(
        &self,
        request: &HttpRequest,
        action: Option<&'static str>,
    ) -> Option<HttpResponse> {
        let denied = self.authorization.check(request).await.err()?;
        if let Some(action) = action
            && !matches!(denied, Denied::NotConfigured)
        {
            AuditEntry::new(action).log_forbidden(&self.guard, request);
        }
        Some(denied.into_response())
    }

    /// Returns the dashboard's page, or one of its files.
    #[cfg(feature = "dashboard")]
    async fn page(&self, request: &HttpRequest) -> HttpResponse {
        if let Some(rejection) = self.rejection(request, None).await {
            return rejection;
        }
        if let Some(rejection) = wrong_method(request, &Method::GET) {
            return rejection;
        }
        match request.match_info().get("file") {
            None => crate::dashboard::index(),
            Some("") => crate::dashboard::index_below(),
            Some(name) => crate::dashboard::file(name).unwrap_or_else(|| {
                Problem::unknown("the dashboard has no file with this name").into_response()
            }),
        }
    }

    async fn respond(
        &self,
        endpoint: Endpoint,
        request: &HttpRequest,
        payload: web::Payload,
    ) -> HttpResponse {
        if let Some(rejection) = self.rejection(request, endpoint.action()).await {
            return rejection;
        }
        if let Some(rejection) = wrong_method(request, &endpoint.method()) {
            return rejection;
        }
        let result = match endpoint {
            Endpoint::Inventory => Ok(json::inventory(&self.guard.inventory())),
            Endpoint::Policies => Ok(json::policies(&self.guard, &self.guard.current_policies())),
            Endpoint::Overrides => Ok(overrides::list(&self.guard)),
            Endpoint::Health => Ok(json::health(&self.guard)),
            #[cfg(feature = "dashboard")]
            Endpoint::Statistics => statistics::statistics(&self.guard, request).await,
            Endpoint::Explain => self.explain(request, payload).await,
            Endpoint::Reset
            | Endpoint::Ban
            | Endpoint::Unban
            | Endpoint::SetOverride
            | Endpoint::RemoveOverride => {
                let mut entry = AuditEntry::new(endpoint.action().unwrap_or_default());
                let result = self.change(endpoint, request, payload, &mut entry).await;
                entry.log(&self.guard, request, &result);
                result
            }
        };
        result.map_or_else(Problem::into_response, json_response)
    }

    /// Performs a reset, a ban, an unban, or a change of an override. Adds to `entry` the fields of the request that
    /// the audit log contains.
    async fn change(
        &self,
        endpoint: Endpoint,
        request: &HttpRequest,
        payload: web::Payload,
        entry: &mut AuditEntry,
    ) -> EndpointResult {
        if let Endpoint::SetOverride = endpoint {
            return overrides::set(&self.guard, request, payload, entry).await;
        }
        let (selector, seconds) = match endpoint {
            Endpoint::Ban => {
                let body: BanBody = read(request, payload).await?;
                entry.set_seconds(body.for_seconds);
                let seconds = body.for_seconds;
                (body.into_selector(), seconds)
            }
            _ => (read::<KeySelector>(request, payload).await?, 0.0),
        };
        entry.set_policy(&selector.policy);
        let length = Duration::try_from_secs_f64(seconds)
            .map_err(|_| Problem::bad(BanError::Length.to_string()))?;
        let selected = selector.select(&self.guard)?;
        entry.set_by(selected.echo["by"].as_str().unwrap_or_default());
        match endpoint {
            Endpoint::RemoveOverride => overrides::remove(&self.guard, selected).await,
            Endpoint::Ban => self.ban(selected, length).await,
            Endpoint::Unban => self.unban(selected).await,
            _ => self.reset(selected).await,
        }
    }

    async fn explain(&self, request: &HttpRequest, payload: web::Payload) -> EndpointResult {
        let selector: KeySelector = read(request, payload).await?;
        let is_per_request = |name: &str| {
            let inventory = self.guard.inventory();
            inventory.limits().iter().any(|limit| limit.name == name && limit.is_per_request)
        };
        let is_per_request = is_per_request(&selector.policy);
        let SelectedKey { policy, key, address, echo, .. } = selector.select(&self.guard)?;
        if is_per_request && self.guard.override_of(&policy, &key).is_none() {
            return Err(Problem::conflict(
                "the quotas of this limit are chosen for each request, so a key does not determine them; call `RateGuard::explain_request` with a request",
            ));
        }
        let outcome = self.guard.explain_client(&policy, &key, address).await;
        let body = merge(echo, json::outcome(&outcome));
        let body = merge(body, json::variant(&self.guard, &policy, &key));
        match outcome {
            Outcome::Unavailable(unavailable) => {
                Err(Problem::unavailable(&unavailable, with_version(body)))
            }
            _ => Ok(body),
        }
    }

    async fn reset(&self, selected: SelectedKey) -> EndpointResult {
        let SelectedKey { policy, key, echo, .. } = selected;
        match self.guard.reset(&policy, &key).await {
            Ok(()) => Ok(echo),
            Err(unavailable) => Err(Problem::unavailable(&unavailable, with_version(echo))),
        }
    }

    async fn ban(&self, selected: SelectedKey, length: Duration) -> EndpointResult {
        let SelectedKey { policy, key, is_shared, echo, .. } = selected;
        if is_shared {
            return Err(Problem::conflict(
                "this client shares its key with other clients of its network, so a ban would apply to them, too; deny its address in an access list instead",
            ));
        }
        match self.guard.ban(&policy, &key, length).await {
            Ok(left) => Ok(merge(echo, json::ban(left))),
            Err(error) => Err(ban_problem(error, echo)),
        }
    }

    async fn unban(&self, selected: SelectedKey) -> EndpointResult {
        let SelectedKey { policy, key, echo, .. } = selected;
        match self.guard.unban(&policy, &key).await {
            Ok(()) => Ok(echo),
            Err(error) => Err(ban_problem(error, echo)),
        }
    }
}

impl HttpServiceFactory for Endpoints {
    fn register(self, config: &mut AppService) {
        let this = Rc::new(self);
        for (path, endpoint) in Endpoint::ALL {
            let (this, endpoint) = (Rc::clone(&this), *endpoint);
            let handler = move |request: HttpRequest, payload: web::Payload| {
                let this = Rc::clone(&this);
                async move { this.respond(endpoint, &request, payload).await }
            };
            web::resource(*path).to(handler).register(config);
        }
        #[cfg(feature = "dashboard")]
        {
            let handler = move |request: HttpRequest| {
                let this = Rc::clone(&this);
                async move { this.page(&request).await }
            };
            web::resource(["/dashboard", "/dashboard/{file}", "/dashboard/{file:}"])
                .to(handler)
                .register(config);
        }
    }
}

/// Returns the response to a request with another method than the expected one. `GET` includes `HEAD`.
fn wrong_method(request: &HttpRequest, expected: &Method) -> Option<HttpResponse> {
    let is_head = *request.method() == Method::HEAD && *expected == Method::GET;
    if request.method() == expected || is_head {
        return None;
    }
    let mut response = Problem::method(expected.as_str()).into_response();
    if let Ok(method) = HeaderValue::from_str(expected.as_str()) {
        response.headers_mut().insert(ALLOW, method);
    }
    Some(response)
}

fn ban_problem(error: BanError, echo: Value) -> Problem {
    match error {
        BanError::Unavailable(unavailable) => {
            Problem::unavailable(&unavailable, with_version(echo))
        }
        BanError::Length => Problem::bad(error.to_string()),
        _ => Problem::conflict(error.to_string()),
    }
}
