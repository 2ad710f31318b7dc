//! The limits of middlewares that a handler replaces: the arguments `exempt` and `replaces` of the macro attribute.
//!
//! A middleware around an application runs before actix-web chooses the handler, and the macro attribute does not know the
//! route of its handler. So the first request to a route is checked by the middleware, and its units are refunded if the
//! handler replaces the limit. From then on, the guard knows the route, and the limit does not apply to it.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::SocketAddr,
    sync::{LazyLock, PoisonError, RwLock},
};

use actix_rateguard_core::adapter::{PolicyName, ThrottledLog};
use actix_rateguard_grammar::{escape_for_display, expected_one_of};
use actix_web::{HttpRequest, http::Method};
use smallvec::SmallVec;

use crate::http_methods::is_defined;

/// The limits of middlewares that do not apply to a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// All limits of middlewares.
    All,
    /// The limit with this name.
    Named(&'static str),
}

impl Replacement {
    fn includes(self, limit: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(name) => name == limit,
        }
    }
}

/// A macro attribute that replaces limits of middlewares. The linker collects these attributes, so a program without them
/// does not look up its routes.
pub struct ReplacementUse;

#[cfg(feature = "macros")]
inventory::collect!(ReplacementUse);

/// Returns whether a handler of the program can replace limits of middlewares.
pub(crate) fn is_in_use() -> bool {
    static IS_IN_USE: LazyLock<bool> = LazyLock::new(|| {
        #[cfg(feature = "macros")]
        let is_in_use = inventory::iter::<ReplacementUse>.into_iter().next().is_some();
        #[cfg(not(feature = "macros"))]
        let is_in_use = false;
        is_in_use
    });
    *IS_IN_USE
}

/// The limits that the handler of a request replaces, as far as they are known.
#[derive(Default)]
pub(crate) struct ReplacedLimits {
    /// The names of the limits of middlewares that the request has reached.
    reached_limits: RefCell<SmallVec<[PolicyName; 1]>>,
    /// The replacements of the handler, which are known when it runs.
    replacements: RefCell<SmallVec<[Replacement; 1]>>,
    /// Whether the request can change the [`RouteStatus`] that the guard stores for its route and one of these limits.
    may_change_status: Cell<bool>,
}

impl ReplacedLimits {
    /// Records that the request has reached this limit of a middleware.
    pub(crate) fn add_limit(&self, name: &PolicyName, may_change_status: bool) {
        let mut reached = self.reached_limits.borrow_mut();
        // A limit whose key is in the body is added once before and once after the body is read.
        if !reached.contains(name) {
            reached.push(name.clone());
        }
        self.may_change_status.set(self.may_change_status.get() || may_change_status);
    }

    /// Records a replacement of the handler that runs. Logs a warning if there is nothing to replace.
    pub(crate) fn add_replacement(&self, replacement: Replacement) {
        if let Replacement::Named(name) = replacement {
            let reached = self.reached_limits.borrow();
            if !reached.iter().any(|limit| limit.as_str() == name) {
                warn_about_unknown_limit(name, &reached);
            }
        }
        self.replacements.borrow_mut().push(replacement);
    }

    /// Returns whether the handler of the request replaces this limit of a middleware.
    pub(crate) fn contains(&self, limit: &str) -> bool {
        self.replacements.borrow().iter().any(|it| it.includes(limit))
    }

    /// Returns whether the handler of the request replaces a limit.
    pub(crate) fn has_replacements(&self) -> bool {
        !self.replacements.borrow().is_empty()
    }

    /// Returns whether the middlewares must record the replacements of this request.
    pub(crate) fn must_be_recorded(&self) -> bool {
        self.may_change_status.get() || self.has_replacements()
    }
}

fn warn_about_unknown_limit(name: &str, reached: &[PolicyName]) {
    static LOG: ThrottledLog = ThrottledLog::new();
    if LOG.try_emit().is_none() {
        return;
    }
    let name = escape_for_display(name);
    let names: Vec<&str> = reached.iter().map(PolicyName::as_str).collect();
    let found = match names.is_empty() {
        true => "no middleware around the handler has a limit".to_owned(),
        false => {
            let expected = expected_one_of("limit", &name, &names);
            format!("no middleware around the handler has this limit; {expected}")
        }
    };
    log::warn!(target: "rateguard", "a handler replaces the limit `{name}`, but {found}");
}

/// The routes of a guard of which the replacements are known, for each limit of a middleware.
#[derive(Default)]
pub(crate) struct ReplacedRoutes {
    limits: RwLock<HashMap<ServerLimit, HashMap<String, Vec<KnownRoute>>>>,
}

/// The name of a limit, and the address of the server: two servers with one guard can have different routes.
type ServerLimit = (PolicyName, SocketAddr);

struct KnownRoute {
    method: Method,
    status: RouteStatus,
}

/// Whether the handler of a route replaces a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RouteStatus {
    /// No request to the route has completed yet.
    New,
    /// No handler of the route has replaced the limit until now.
    Limited,
    /// A handler of the route has replaced the limit.
    Replaced,
    /// A route guard of actix-web has refused this route for a request with its path, so that another route has handled
    /// the request. The limit applies to all requests with such a path.
    Ambiguous,
}

impl ReplacedRoutes {
    /// Returns whether the handler of the request's route replaces the limit of a middleware.
    pub(crate) fn status(&self, limit: &PolicyName, request: &HttpRequest) -> RouteStatus {
        let Some((pattern, method)) = route(request) else { return RouteStatus::Limited };
        self.status_of(&server_limit(limit, request), &pattern, method)
    }

    fn status_of(&self, limit: &ServerLimit, pattern: &str, method: &Method) -> RouteStatus {
        // No code panics while it holds the lock, so the lock is never poisoned.
        let limits = self.limits.read().unwrap_or_else(PoisonError::into_inner);
        let known = limits.get(limit).and_then(|routes| routes.get(pattern));
        let known = known.and_then(|routes| routes.iter().find(|it| it.method == *method));
        known.map_or(RouteStatus::New, |it| it.status)
    }

    /// Records whether the handler of a completed request has replaced the limit of a middleware. If a handler has replaced
    /// the limit once, the status stays [`Replaced`](RouteStatus::Replaced), even if a later request does not reach the
    /// handler, for example because its authentication fails. Only [`Ambiguous`](RouteStatus::Ambiguous) overrides it.
    pub(crate) fn record(&self, limit: &PolicyName, request: &HttpRequest, is_replaced: bool) {
        let Some((pattern, method)) = route(request) else { return };
        let limit = server_limit(limit, request);
        let old = self.status_of(&limit, &pattern, method);
        let new = match old {
            RouteStatus::Ambiguous => old,
            _ if is_routed_elsewhere(request, &pattern) => RouteStatus::Ambiguous,
            _ if is_replaced => RouteStatus::Replaced,
            RouteStatus::New => RouteStatus::Limited,
            RouteStatus::Limited | RouteStatus::Replaced => old,
        };
        if new == old {
            return;
        }
        let mut limits = self.limits.write().unwrap_or_else(PoisonError::into_inner);
        let routes = limits.entry(limit).or_default().entry(pattern).or_default();
        match routes.iter_mut().find(|it| it.method == *method) {
            Some(known) => known.status = new,
            None => routes.push(KnownRoute { method: method.clone(), status: new }),
        }
    }
}

fn server_limit(limit: &PolicyName, request: &HttpRequest) -> ServerLimit {
    (limit.clone(), request.app_config().local_addr())
}

/// Returns the pattern of the request's route and the method. `None` if no route has the path, or if the method is not a
/// defined one, because a client could invent methods and fill the memory with routes.
fn route(request: &HttpRequest) -> Option<(String, &Method)> {
    let method = Some(request.method()).filter(|method| is_defined(method))?;
    Some((pattern(request)?, method))
}

/// Returns the pattern of the first route with the path of the request, before or after actix-web has chosen the handler.
pub(crate) fn pattern(request: &HttpRequest) -> Option<String> {
    // actix-web chooses the route by the decoded path. The path in the URI can match another route, so a client could
    // avoid a limit with `%6C` in place of `l`.
    request.resource_map().match_pattern(request.match_info().as_str())
}

/// Returns whether another route than the one with this pattern has handled the request, because a route guard of actix-web
/// has refused the route.
fn is_routed_elsewhere(request: &HttpRequest, pattern: &str) -> bool {
    // If no route has handled the request, `HttpRequest::match_pattern` returns the pattern for the encoded path of the URI.
    // This pattern does not show that another route has handled the request.
    let uri_path_pattern = request.resource_map().match_pattern(request.path());
    match request.match_pattern() {
        Some(routed) => routed != pattern && Some(&routed) != uri_path_pattern.as_ref(),
        None => false,
    }
}
