//! Detects routes of an application without a limit.

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

/// A list of routes of an application, to find the routes without a limit.
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
/// actix-web 4.18 and later can report its routes with the feature `experimental-introspection`. To use that report,
/// see [`of_report`](Self::of_report).
///
/// The probe sends a marked request to each route. The first limit that applies responds to the marked request. Nothing
/// is counted, and the handler does not run. On a route without a limit, the handler runs with an empty body, so use an
/// application that is built for tests.
///
/// The probe can miss a limit or a route:
///
/// - A limit that exempts the marked request with [`skip`](crate::Limit::skip), or that applies to other methods,
///   is not found.
/// - A middleware that responds before all limits, such as an authentication, hides the limits.
/// - A guard of the route other than the method guard hides the limits, if the marked request does not satisfy that
///   guard.
/// - Routes that are not in the list are not checked.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Routes {
    all: Vec<(Method, String)>,
    except: Vec<(Method, String)>,
}

impl Routes {
    /// Creates a list of routes by method and path pattern. The probe replaces each parameter with `1`.
    pub fn of<P: Into<String>>(routes: impl IntoIterator<Item = (Method, P)>) -> Self {
        let all = routes.into_iter().map(|(method, path)| (method, path.into())).collect();
        Self { all, except: Vec::new() }
    }

    /// Reads the routes from the output of `IntrospectionTree::report_as_json` of actix-web. The tree is in the
    /// application's `web::Data<IntrospectionTree>`. The probe uses GET for a resource without methods.
    ///
    /// # Errors
    ///
    /// [`RouteReportError`] if the text is not a report of actix-web.
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

    /// Excludes a route that has no limit on purpose.
    pub fn except(mut self, method: Method, path: impl Into<String>) -> Self {
        self.except.push((method, path.into()));
        self
    }

    /// Returns the routes without a limit, such as `GET /health`, except the excluded routes. Also returns excluded
    /// routes that are not in the list, and marks routes that the application does not have.
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
            // If the service returns an error, the route exists, so the status matters only for a response.
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
    /// If [`unlimited`](Self::unlimited) returns routes. The message contains all of these routes.
    #[allow(clippy::panic, reason = "an assertion for tests")]
    pub async fn assert_limited<S, B>(&self, app: &S)
    where
        S: Service<Request, Response = ServiceResponse<B>>,
    {
        let unlimited = self.unlimited(app).await;
        assert!(unlimited.is_empty(), "routes without a limit:\n{}", unlimited.join("\n"));
    }
}

/// Replaces each parameter of a pattern with `1`.
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

/// The text is not a route report of actix-web.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RouteReportError;

impl fmt::Display for RouteReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text is not a route report of actix-web")
    }
}

crate::debug_as_display::debug_as_display!(RouteReportError);

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
