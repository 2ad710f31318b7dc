//! Finds routes of an application that have no limit.

use std::{error::Error, fmt};

use actix_http::Request;
use actix_web::{
    HttpMessage,
    dev::{Service, ServiceResponse},
    http::Method,
    test::TestRequest,
};
use serde_json::Value;

use crate::route_probe::RouteProbe;

/// A list of an application's routes, in which a test can find the routes without a limit.
///
/// ```
/// # actix_web::rt::System::new().block_on(async {
/// # use actix_web::{App, HttpResponse, Responder, get, http::Method, test, web};
/// # use actix_rateguard::{RateGuard, rate_limit, test_util::Routes};
/// #[get("/search/{term}")]
/// #[rate_limit(rate = "5/minute")]
/// async fn search() -> impl Responder {
///     HttpResponse::Ok()
/// }
///
/// let guard = RateGuard::in_memory();
/// let health = web::resource("/health").to(HttpResponse::Ok);
/// let app = test::init_service(App::new().app_data(guard).service(search).service(health)).await;
///
/// let routes = Routes::of([(Method::GET, "/search/{term}"), (Method::GET, "/health")]);
/// assert_eq!(routes.unlimited(&app).await, ["GET /health"]);
/// routes.except(Method::GET, "/health").assert_limited(&app).await;
/// # });
/// ```
///
/// From version 4.18, actix-web has the feature `experimental-introspection`, which reports the routes of an
/// application. The function [`of_report`](Self::of_report) reads this report.
///
/// [`unlimited`](Self::unlimited) sends a test request, which RateGuard recognizes, to each route. If a limit applies
/// to the test request, the limit responds and counts nothing, and the handler does not run. If no limit applies, the
/// handler runs with an empty body, so use an application that is built for tests.
///
/// In these cases, the result is incomplete or incorrect:
///
/// - A limit exempts the test request with [`skip`](crate::Limit::skip), or does not apply to the method of this
///   request. The route is then reported as a route without a limit.
/// - A middleware, for example for authentication, responds to the test request before the request reaches a limit. The
///   route is then reported as a route without a limit.
/// - The route has a route guard of actix-web that does not match the test request. The route is then reported as a
///   route without a limit. A route guard that compares only the method is no problem, because the test request has the
///   right method.
/// - The handler of the route has `#[rate_limit(exempt)]` or the argument `replaces`, and has had no request yet. The route
///   is then reported as a route with the limit of the middleware.
/// - A route is missing from the list of routes. The test then does not find out whether this route has a limit.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Routes {
    all: Vec<(Method, String)>,
    except: Vec<(Method, String)>,
}

impl Routes {
    /// Creates a list of routes from methods and path patterns. The test request for a route has the text `1` in
    /// place of each path parameter.
    pub fn of<P: Into<String>>(routes: impl IntoIterator<Item = (Method, P)>) -> Self {
        let all = routes.into_iter().map(|(method, path)| (method, path.into())).collect();
        Self { all, except: Vec::new() }
    }

    /// Reads the routes from the JSON that `IntrospectionTree::report_as_json` of actix-web returns. The
    /// application's data contains this tree as `web::Data<IntrospectionTree>`. If the report has no methods for a
    /// resource, the test request has the method GET.
    ///
    /// # Errors
    ///
    /// [`RouteReportError`] if `json` is not a route report of actix-web.
    pub fn of_report(json: &str) -> Result<Self, RouteReportError> {
        let report: Value = serde_json::from_str(json).map_err(|_| RouteReportError)?;
        let mut all = Vec::new();
        for item in report.as_array().ok_or(RouteReportError)? {
            let path = item["full_path"].as_str().ok_or(RouteReportError)?;
            if item["resource_type"].as_str().ok_or(RouteReportError)? != "resource" {
                continue;
            }
            let methods = item["methods"].as_array().ok_or(RouteReportError)?;
            let methods = methods
                .iter()
                .map(|method| Method::from_bytes(method.as_str()?.as_bytes()).ok())
                .collect::<Option<Vec<_>>>()
                .ok_or(RouteReportError)?;
            let methods = if methods.is_empty() { vec![Method::GET] } else { methods };
            all.extend(methods.into_iter().map(|method| (method, path.to_owned())));
        }
        Ok(Self { all, except: Vec::new() })
    }

    /// Excludes a route that intentionally has no limit.
    pub fn except(mut self, method: Method, path: impl Into<String>) -> Self {
        self.except.push((method, path.into()));
        self
    }

    /// Returns the routes that have no limit and are not excluded, such as `GET /health`. The result also shows two
    /// kinds of mistakes, each with a note: a route in the list that the application does not have, and an excluded
    /// route that is not in the list.
    pub async fn unlimited<S, B>(&self, app: &S) -> Vec<String>
    where
        S: Service<Request, Response = ServiceResponse<B>>,
    {
        let mut unlimited = Vec::new();
        for route in self.all.iter().filter(|route| !self.except.contains(route)) {
            let (method, path) = route;
            let probe = RouteProbe::default();
            let request =
                TestRequest::with_uri(&fill_parameters(path)).method(method.clone()).to_request();
            request.extensions_mut().insert(probe.clone());
            // If a route does not exist, actix-web returns a response with status 404 or 405, and never an error. So
            // an error means that the route exists.
            let status = app.call(request).await.ok().map(|response| response.status());
            if !probe.found_limit() {
                let is_missing = status.is_some_and(|status| matches!(status.as_u16(), 404 | 405));
                let note = if is_missing { " (route not found; check the spelling)" } else { "" };
                unlimited.push(format!("{method} {path}{note}"));
            }
        }
        let unknown = self.except.iter().filter(|route| !self.all.contains(route));
        unlimited.extend(unknown.map(|(method, path)| {
            format!("{method} {path} (excluded, but not in the list of routes)")
        }));
        unlimited
    }

    /// Asserts that every route has a limit or is excluded.
    ///
    /// # Panics
    ///
    /// The function panics if [`unlimited`](Self::unlimited) returns any routes. The panic message contains these
    /// routes.
    #[allow(clippy::panic, reason = "an assertion for tests")]
    pub async fn assert_limited<S, B>(&self, app: &S)
    where
        S: Service<Request, Response = ServiceResponse<B>>,
    {
        let unlimited = self.unlimited(app).await;
        assert!(unlimited.is_empty(), "routes without a limit:\n{}", unlimited.join("\n"));
    }
}

/// Replaces each path parameter of a pattern with the text `1`.
fn fill_parameters(pattern: &str) -> String {
    let mut path = String::new();
    let mut depth = 0;
    for letter in pattern.chars() {
        match letter {
            '{' => {
                if depth == 0 {
                    path.push('1');
                }
                depth += 1;
            }
            '}' => depth -= 1,
            _ if depth == 0 => path.push(letter),
            _ => {}
        }
    }
    path
}

/// The error for a text that is not a route report of actix-web.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RouteReportError;

impl fmt::Display for RouteReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text is not a route report of actix-web")
    }
}

actix_rateguard_grammar::debug_as_display!(RouteReportError);

impl Error for RouteReportError {}

#[cfg(test)]
mod tests {
    use super::fill_parameters;

    #[test]
    fn parameters_are_filled_for_all_patterns() {
        for (pattern, path) in [
            ("/", "/"),
            ("/users/{id}/posts/{post}", "/users/1/posts/1"),
            (r"/{year:\d{4}}/x", "/1/x"),
            ("/static/{tail}*", "/static/1*"),
        ] {
            assert_eq!(fill_parameters(pattern), path);
        }
    }
}
