//! Adds the responses of limits to the operations of an OpenAPI document.

use std::collections::BTreeSet;

use utoipa::{
    Modify,
    openapi::{ComponentsBuilder, OpenApi, path::Operation},
};

use super::{
    operations::for_each_operation,
    responses::{PROBLEM, Responses, problem_schema},
};
#[cfg(feature = "macros")]
use crate::inventory::LimitSource;
use crate::{RateGuard, inventory::LimitInfo};

/// Adds the responses of a guard's limits to a document of utoipa.
///
/// Each operation with a limit gets a response 429, with the quotas, the header fields and the body that the guard
/// sends. The other responses of the operation get the same header fields, except for `Retry-After`. If a limit of the
/// operation fails [closed](crate::OnError::Closed), the operation also gets a response 503. A response 429 or 503 that
/// the document already has stays as it is. A limit in shadow mode denies no request, so it has no response.
///
/// The numbers are those that apply now, including those of a policies file.
///
/// # Which limits an operation has
///
/// - The limits of the macro attributes on the function whose name is the id of the operation, which is the default of
///   `#[utoipa::path]`. If several operations or several limited handlers have this name, it is ambiguous, and the
///   operations get no limit. For an operation with another id, call [`operation`](Self::operation).
/// - The limits of a middleware at the paths that [`below`](Self::below) sets. A middleware does not know the paths of
///   the scope that it wraps.
///
/// An attribute with a `limiter` argument belongs to a guard after the guard has checked a request to its handler.
#[must_use = "it changes the document only with `modify`"]
pub struct LimitResponses<'a> {
    guard: &'a RateGuard,
    limits: Vec<DocumentedLimit>,
    /// The pairs of a path and the name of a limit.
    paths: Vec<(String, String)>,
    /// The pairs of an operation id and the name of a limit.
    operations: Vec<(String, String)>,
}

struct DocumentedLimit {
    info: LimitInfo,
    /// The path of the function with the macro attribute, such as `shop::search`. `None` for a limit of a middleware.
    handler: Option<&'static str>,
}

impl<'a> LimitResponses<'a> {
    /// Creates the documentation of this guard's limits.
    pub fn of(guard: &'a RateGuard) -> Self {
        let infos = guard.limit_infos(&guard.policy_set()).into_iter();
        let limits = infos.map(|(info, source)| {
            let handler = match source {
                #[cfg(feature = "macros")]
                LimitSource::Attribute(attribute) => Some(attribute.handler),
                _ => None,
            };
            DocumentedLimit { info, handler }
        });
        Self { guard, limits: limits.collect(), paths: Vec::new(), operations: Vec::new() }
    }

    /// Adds the limit with this name to all operations at this path and below it. Use it for the limits of a
    /// middleware. `"/api"` includes `/api` and `/api/orders`, but not `/apis`. `"/"` includes every path.
    ///
    /// The limit must be in the [inventory](RateGuard::inventory), so the application must have started its middleware
    /// before. A limit that is not in the inventory has no effect.
    pub fn below(mut self, path: impl Into<String>, limit: impl Into<String>) -> Self {
        self.paths.push((path.into(), limit.into()));
        self
    }

    /// Adds the limit with this name to the operation with this id.
    pub fn operation(mut self, operation_id: impl Into<String>, limit: impl Into<String>) -> Self {
        self.operations.push((operation_id.into(), limit.into()));
        self
    }

    /// Returns the names of the limits that no operation of the document has, for a test that documents all limits.
    #[must_use]
    pub fn undocumented(&self, api: &OpenApi) -> Vec<String> {
        let (mut api, handlers) = (api.clone(), UniqueHandlers::of(self, api));
        let mut is_documented = vec![false; self.limits.len()];
        for_each_operation(&mut api, |path, method, operation| {
            for index in self.limits_of(path, method, operation, &handlers) {
                is_documented[index] = true;
            }
        });
        let limits = self.limits.iter().zip(is_documented);
        let missing =
            limits.filter(|(limit, is_documented)| !is_documented && !limit.info.is_in_shadow);
        missing.map(|(limit, _)| limit.info.name.clone()).collect()
    }

    /// Returns the indices of the limits that can deny a request of this operation.
    fn limits_of(
        &self,
        path: &str,
        method: &str,
        operation: &Operation,
        handlers: &UniqueHandlers,
    ) -> Vec<usize> {
        let id = operation.operation_id.as_deref();
        let is_named = |name: &str| {
            self.paths.iter().any(|(base, limit)| limit == name && is_below(path, base))
                || self
                    .operations
                    .iter()
                    .any(|(its_id, limit)| limit == name && Some(&**its_id) == id)
        };
        let applies = |limit: &DocumentedLimit| {
            let is_of_handler =
                limit.handler.is_some_and(|it| handlers.0.contains(&it) && Some(name_of(it)) == id);
            !limit.info.is_in_shadow
                && has_method(&limit.info, method)
                && (is_of_handler || is_named(&limit.info.name))
        };
        let limits = self.limits.iter().enumerate();
        limits.filter(|(_, limit)| applies(limit)).map(|(index, _)| index).collect()
    }
}

impl Modify for LimitResponses<'_> {
    fn modify(&self, api: &mut OpenApi) {
        let handlers = UniqueHandlers::of(self, api);
        let mut has_limits = false;
        for_each_operation(api, |path, method, operation| {
            let limits = self.limits_of(path, method, operation, &handlers);
            let limits: Vec<_> = limits.into_iter().map(|index| &self.limits[index].info).collect();
            if !limits.is_empty() {
                has_limits = true;
                Responses::of(self.guard, &limits).add_to(&mut operation.responses.responses);
            }
        });
        if has_limits {
            let components = api.components.get_or_insert_with(|| ComponentsBuilder::new().build());
            components.schemas.entry(PROBLEM.to_owned()).or_insert_with(problem_schema);
        }
    }
}

/// The paths of those limited handlers whose names identify one handler and one operation.
struct UniqueHandlers(Vec<&'static str>);

impl UniqueHandlers {
    fn of(limits: &LimitResponses<'_>, api: &OpenApi) -> Self {
        let mut ids = Vec::new();
        for_each_operation(&mut api.clone(), |_, _, operation| {
            ids.extend(operation.operation_id.clone());
        });
        let handlers: BTreeSet<_> = limits.limits.iter().filter_map(|it| it.handler).collect();
        let is_unique = |handler: &&'static str| {
            let same = |other: &&&'static str| name_of(other) == name_of(handler);
            handlers.iter().filter(same).count() == 1
                && ids.iter().filter(|id| *id == name_of(handler)).count() == 1
        };
        Self(handlers.iter().copied().filter(is_unique).collect())
    }
}

/// Returns the name of a function without its module.
fn name_of(handler: &str) -> &str {
    handler.rsplit_once("::").map_or(handler, |(_, name)| name)
}

fn is_below(path: &str, base: &str) -> bool {
    let rest = path.strip_prefix(base.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns whether the limit applies to the method. `GET` includes `HEAD`.
fn has_method(limit: &LimitInfo, method: &str) -> bool {
    let is_listed = |listed: &String| listed == method || (method == "HEAD" && listed == "GET");
    limit.methods.is_empty() || limit.methods.iter().any(is_listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_is_below_itself_and_its_parents() {
        for (path, base) in [
            ("/api", "/api"),
            ("/api", "/api/"),
            ("/api/a/{b}", "/api"),
            ("/a", "/"),
            ("/", "/"),
            ("/a", ""),
        ] {
            assert!(is_below(path, base), "{path} {base}");
        }
        for (path, base) in [("/apis", "/api"), ("/", "/api"), ("/v1/api", "/api")] {
            assert!(!is_below(path, base), "{path} {base}");
        }
    }
}
