//! Requests to an application without a socket.

use std::net::SocketAddr;

use actix_web::{
    Error,
    body::{MessageBody, to_bytes},
    dev::{Service, ServiceResponse},
    http::header::HeaderMap,
    test::TestRequest,
};

/// An application with this guard and these routes.
macro_rules! app {
    ($guard:expr, $($service:expr),* $(,)?) => {
        actix_web::test::init_service(actix_web::App::new().app_data($guard.clone())$(.service($service))*).await
    };
}

/// The answer of an application.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Limit, remaining and reset, as the client sees them.
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

/// A request from a client at 192.0.2.`client`.
pub fn from_client(client: u8, request: TestRequest) -> TestRequest {
    request.peer_addr(SocketAddr::from(([192, 0, 2, client], 40_000)))
}

/// What the application answers; an error is rendered as the server would.
pub async fn send<S, B>(app: &S, request: TestRequest) -> Answer
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
    let body = to_bytes(response.into_body()).await.expect("a whole body");
    Answer { status, headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

/// What the application answers to a GET of a client.
pub async fn get<S, B>(app: &S, client: u8, path: &str) -> Answer
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    send(app, from_client(client, TestRequest::get().uri(path))).await
}

/// The statuses of several GETs of one client.
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
