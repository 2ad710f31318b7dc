//! A web server with one limited page. A test uses this server to measure the effects of a fault on HTTP clients.

use std::time::Instant;

use actix_rateguard::{RateGuard, rate_limit};
use actix_web::{HttpResponse, web};

use super::checks::MAX_WAIT;
use crate::support::{
    eventually,
    server::{self, Response, Server},
};

pub struct Site {
    server: Server,
    guard: RateGuard,
}

#[rate_limit(limit = 3, window = 3600)]
async fn limited() -> HttpResponse {
    HttpResponse::Ok().body("ok")
}

impl Site {
    pub fn start(guard: RateGuard) -> Self {
        let served = guard.clone();
        let server = Server::start(move |app| {
            app.app_data(served.clone()).route("/", web::get().to(limited));
        });
        Self { server, guard }
    }

    pub fn get(&self) -> Response {
        let start = Instant::now();
        let response = server::get(&self.server.url("/"));
        assert!(start.elapsed() < MAX_WAIT, "{:?}", start.elapsed());
        assert!(matches!(response.status, 200 | 429), "{response:?}");
        response
    }

    /// Sends requests until the server has admitted this number of them without rate limit headers. This is the
    /// behaviour of the failure mode `open`. If the machine is so busy that this process stalls, the guard decides a
    /// request in memory instead. Asserts that there are no other decisions.
    pub fn assert_open(&self, requests: u64) {
        let before = self.guard.failures();
        let (mut open, mut local) = (0, 0);
        eventually("the server admits requests without a decision", || {
            let response = self.get();
            match response.header("x-ratelimit-remaining") {
                None => {
                    assert_eq!(response.status, 200);
                    open += 1;
                }
                Some(_) => local += 1,
            }
            (open == requests).then_some(())
        });
        let after = self.guard.failures();
        assert_eq!((after.open - before.open, after.local - before.local), (open, local));
    }

    /// Sends requests until Redis decides one of them, and returns its response.
    pub fn wait_until_limited(&self) -> Response {
        eventually("Redis decides again", || {
            let response = self.get();
            response.header("x-ratelimit-remaining").is_some().then_some(response)
        })
    }

    /// Asserts that no request has been counted yet: the server admits three requests, and rejects the fourth
    /// request.
    pub fn assert_limits_from_first_request(&self) {
        assert_eq!(self.wait_until_limited().number("x-ratelimit-remaining"), 2);
        assert_eq!([200, 200, 429], [(); 3].map(|()| self.get().status));
    }
}
