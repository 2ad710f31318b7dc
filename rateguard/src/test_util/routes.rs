//! Whether every route of an application has a limit.

use std::{error::Error, fmt};

use actix_http::Request;
use actix_web::{
    HttpMessage,
    dev::{Service, ServiceResponse},
    http::Method,
    test::TestRequest,
};
use serde_json::Value;

use crate::http::survey::Survey;

/// The routes of an application, to find those without a limit.
///
/// ```
/// # actix_web::rt::System::new().block_on(async {
/// # use actix_web::{App, HttpResponse, Responder, get, http::Method, test, web};
/// # use rateguard::{RateGuard, rate_limit, test_util::Routes};
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
/// actix-web 4.18 and later tells its routes by itself, with its feature `experimental-introspection`:
/// [`of_report`](Self::of_report).
///
/// Each route is sent a request that limits recognise. The first limit that is for it answers it; nothing is counted, and
/// the handler is not run. A route without a limit is handled as always, with an empty body, as nothing of this crate is before it:
/// do this with an application that is made for tests.
///
/// It sees what a limit says of such a request alone: one that frees clients by [`skip`](crate::RateLimit::skip) or is for other
/// methods is none for it. What answers before all limits, as an authentication around them, hides them, and so does a guard of
/// the route (other than its method) that the request does not satisfy. It does not see routes that nobody names.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Routes {
    all: Vec<(Method, String)>,
    except: Vec<(Method, String)>,
}

impl Routes {
    /// These routes, each by its pattern. A parameter is sent as `1`.
    pub fn of<P: Into<String>>(routes: impl IntoIterator<Item = (Method, P)>) -> Self {
        let all = routes.into_iter().map(|(method, path)| (method, path.into())).collect();
        Self { all, except: Vec::new() }
    }

    /// The routes of `IntrospectionTree::report_as_json` of actix-web, which finds its way out of an application as a
    /// `web::Data<IntrospectionTree>`. Of a resource that names no methods, GET is tried.
    ///
    /// # Errors
    ///
    /// [`RouteReportError`] if the text is no such report.
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

    /// This route has no limit on purpose.
    pub fn except(mut self, method: Method, path: impl Into<String>) -> Self {
        self.except.push((method, path.into()));
        self
    }

    /// The routes without a limit, such as `GET /health`, but for those that are excepted; and excepted ones that do not exist.
    pub async fn unlimited<S, B>(&self, app: &S) -> Vec<String>
    where
        S: Service<Request, Response = ServiceResponse<B>>,
    {
        let mut unlimited = Vec::new();
        for route in self.all.iter().filter(|route| !self.except.contains(route)) {
            let (method, path) = route;
            let survey = Survey::default();
            let request = TestRequest::with_uri(&filled(path)).method(method.clone()).to_request();
            request.extensions_mut().insert(survey.clone());
            // An error is an answer, too.
            let status = app.call(request).await.ok().map(|response| response.status());
            if !survey.has_met_a_limit() {
                let is_missed = status.is_some_and(|status| matches!(status.as_u16(), 404 | 405));
                let doubt = if is_missed { " (not found: is it spelt so?)" } else { "" };
                unlimited.push(format!("{method} {path}{doubt}"));
            }
        }
        let unknown = self.except.iter().filter(|route| !self.all.contains(route));
        unlimited.extend(
            unknown.map(|(method, path)| {
                format!("{method} {path} (excepted, and not among the routes)")
            }),
        );
        unlimited
    }

    /// # Panics
    ///
    /// If a route has no limit and is not excepted. It names all of them.
    #[allow(clippy::panic, reason = "it is for tests")]
    pub async fn assert_limited<S, B>(&self, app: &S)
    where
        S: Service<Request, Response = ServiceResponse<B>>,
    {
        let unlimited = self.unlimited(app).await;
        assert!(unlimited.is_empty(), "routes without a limit:\n{}", unlimited.join("\n"));
    }
}

/// The path with something in the place of each parameter.
fn filled(pattern: &str) -> String {
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

/// The text is no report of actix-web on its routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteReportError;

impl fmt::Display for RouteReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text is no report of actix-web on its routes")
    }
}

impl Error for RouteReportError {}

#[cfg(test)]
mod tests {
    use super::filled;

    #[test]
    fn parameters_are_filled_whatever_their_patterns_have_in_them() {
        for (pattern, path) in [
            ("/", "/"),
            ("/users/{id}/posts/{post}", "/users/1/posts/1"),
            (r"/{year:\d{4}}/x", "/1/x"),
            ("/static/{tail}*", "/static/1*"),
        ] {
            assert_eq!(filled(pattern), path);
        }
    }
}
