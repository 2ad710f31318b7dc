//! Sends requests to an actix-web application without a socket.

use std::{cell::RefCell, net::SocketAddr};

use actix_rateguard::RateGuard;
use actix_web::{
    Error,
    body::{MessageBody, to_bytes},
    dev::{Service, ServiceResponse},
    http::header::HeaderMap,
    test::TestRequest,
};

/// Creates and initializes an application with this guard and these services.
macro_rules! app {
    ($guard:expr, $($service:expr),* $(,)?) => {{
        let guard: actix_rateguard::RateGuard = $guard.clone();
        crate::support::app::set_attribute_guard(&guard);
        actix_web::test::init_service(actix_web::App::new().app_data(guard)$(.service($service))*).await
    }};
}

thread_local! {
    static ATTRIBUTE_GUARD: RefCell<Option<RateGuard>> = const { RefCell::new(None) };
}

/// Sets the guard that [`attribute_guard`] returns on this thread.
pub fn set_attribute_guard(guard: &RateGuard) {
    ATTRIBUTE_GUARD.set(Some(guard.clone()));
}

/// Returns the guard of an attribute with `limiter = attribute_guard()`.
///
/// All guards of this test program validate the attributes without a `limiter`. So an attribute needs this `limiter` if
/// it uses a policy, or if it has the name of another limit.
pub fn attribute_guard() -> RateGuard {
    ATTRIBUTE_GUARD.with_borrow(|guard| guard.clone().expect("the test has set the guard"))
}

/// A response of an application, including the whole body.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Returns the three numbers of the `x-ratelimit-*` headers: the limit, the remaining units, and the reset time.
    pub fn numbers(&self) -> Option<[u64; 3]> {
        let number = |name: &str| self.header(name).map(|value| value.parse().unwrap());
        let all =
            ["limit", "remaining", "reset"].map(|name| number(&format!("x-ratelimit-{name}")));
        let [Some(limit), Some(remaining), Some(reset)] = all else {
            assert_eq!(all, [None; 3], "all three numbers or none");
            return None;
        };
        Some([limit, remaining, reset])
    }
}

/// Sets the peer address of a request to `192.0.2.<client>`.
pub fn from_client(client: u8, request: TestRequest) -> TestRequest {
    request.peer_addr(SocketAddr::from(([192, 0, 2, client], 40_000)))
}

/// Sends a request. If the application returns an error, the error is converted to a response, as actix-web's server
/// does.
pub async fn send<S, B>(app: &S, request: TestRequest) -> Response
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    let response = match app.call(request.to_request()).await {
        Ok(response) => response.into_parts().1.map_into_boxed_body(),
        Err(error) => error.error_response(),
    };
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let body = to_bytes(response.into_body()).await.expect("a complete body");
    Response { status, headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

/// Sends a GET request from the address `192.0.2.<client>`.
pub async fn get<S, B>(app: &S, client: u8, path: &str) -> Response
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    send(app, from_client(client, TestRequest::get().uri(path))).await
}

/// Sends `times` GET requests of one client, and returns their statuses.
pub async fn statuses<S, B>(app: &S, client: u8, path: &str, times: usize) -> Vec<u16>
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    let mut statuses = Vec::new();
    for _ in 0..times {
        statuses.push(get(app, client, path).await.status);
    }
    statuses
}
