//! The limits of middlewares that a handler replaces: the arguments `exempt` and `replaces` of the macro attribute.
//!
//! A middleware around an application runs before actix-web chooses the handler, and the macro attribute does not know the
//! route of its handler. So the first request to a route is checked by the middleware, and its units are refunded if the
//! handler replaces the limit. From then on, the guard knows the route, and the limit does not apply to it.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::SocketAddr,
    panic::Location,
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
    /// The names of the limits of middlewares that apply to the application, scope or resource of the request.
    around: RefCell<SmallVec<[PolicyName; 1]>>,
    /// The replacements of the handler, which are known when it runs.
    replacements: RefCell<SmallVec<[Replacement; 1]>>,
    /// Whether a middleware has no entry for the route yet.
    is_new_route: Cell<bool>,
}

impl ReplacedLimits {
    /// Records that the request has reached this limit of a middleware.
    pub(crate) fn add_limit(&self, name: &PolicyName, is_new_route: bool) {
        let mut around = self.around.borrow_mut();
        // A limit whose key is in the body is added once before and once after the body is read.
        if !around.contains(name) {
            around.push(name.clone());
        }
        self.is_new_route.set(self.is_new_route.get() || is_new_route);
    }

    /// Records a replacement of the handler that runs. Logs a warning if there is nothing to replace.
    pub(crate) fn add_replacement(&self, replacement: Replacement) {
        if let Replacement::Named(name) = replacement {
            let around = self.around.borrow();
            if !around.iter().any(|limit| limit.as_str() == name) {
                warn_about_unknown_limit(name, &around);
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

    /// Returns whether the guard can learn something about the route from this request.
    pub(crate) fn is_new(&self) -> bool {
        self.is_new_route.get() || self.has_replacements()
    }
}

fn warn_about_unknown_limit(name: &str, around: &[PolicyName]) {
    static LOG: ThrottledLog = ThrottledLog::new();
    if LOG.try_emit().is_none() {
        return;
    }
    let name = escape_for_display(name);
    let names: Vec<&str> = around.iter().map(PolicyName::as_str).collect();
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
    limits: RwLock<HashMap<LimitSite, HashMap<String, Vec<KnownRoute>>>>,
}

/// Identifies a limit of a middleware for all workers of a server: its source location, and the address of the server. A
/// function can create the middlewares of two servers, whose routes differ.
type LimitSite = (&'static Location<'static>, SocketAddr);

struct KnownRoute {
    method: Method,
    /// Whether the handler of the route replaces the limit.
    is_replaced: bool,
}

/// Whether the handler of a route replaces a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RouteStatus {
    /// No request to the route has completed yet.
    New,
    Limited,
    Replaced,
}

impl ReplacedRoutes {
    /// Returns whether the handler of the request's route replaces the limit of a middleware.
    pub(crate) fn status(
        &self,
        limit: &'static Location<'static>,
        request: &HttpRequest,
    ) -> RouteStatus {
        let Some((pattern, method)) = route(request) else { return RouteStatus::Limited };
        // No code panics while it holds the lock, so the lock is never poisoned.
        let limits = self.limits.read().unwrap_or_else(PoisonError::into_inner);
        let site = (limit, request.app_config().local_addr());
        let known = limits.get(&site).and_then(|routes| routes.get(&pattern));
        match known.and_then(|routes| routes.iter().find(|it| it.method == *method)) {
            None => RouteStatus::New,
            Some(KnownRoute { is_replaced: true, .. }) => RouteStatus::Replaced,
            Some(KnownRoute { is_replaced: false, .. }) => RouteStatus::Limited,
        }
    }

    /// Records whether the handler of the request's route has replaced the limit of a middleware. A route that has replaced
    /// it once stays replaced: its later requests may not reach the handler, for example without authentication.
    pub(crate) fn record(
        &self,
        limit: &'static Location<'static>,
        request: &HttpRequest,
        is_replaced: bool,
    ) {
        let status = self.status(limit, request);
        if status == RouteStatus::Replaced || (status == RouteStatus::Limited && !is_replaced) {
            return;
        }
        let Some((pattern, method)) = route(request) else { return };
        let mut limits = self.limits.write().unwrap_or_else(PoisonError::into_inner);
        let site = (limit, request.app_config().local_addr());
        let routes = limits.entry(site).or_default().entry(pattern).or_default();
        match routes.iter_mut().find(|it| it.method == *method) {
            Some(known) => known.is_replaced |= is_replaced,
            None => routes.push(KnownRoute { method: method.clone(), is_replaced }),
        }
    }
}

/// Returns the pattern of the request's route and the method. `None` if no route has the path, or if the method is not a
/// defined one, because a client could invent methods and fill the memory with routes.
fn route(request: &HttpRequest) -> Option<(String, &Method)> {
    let method = Some(request.method()).filter(|method| is_defined(method))?;
    // `HttpRequest::match_pattern` depends on whether the route has already been chosen, so it could return another pattern
    // after the handler has run.
    Some((request.resource_map().match_pattern(request.path())?, method))
}
