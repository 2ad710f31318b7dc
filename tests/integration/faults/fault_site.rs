//! A web server with one limited page. A test uses this server to measure the effects of a fault on HTTP clients.

use std::time::Instant;

use actix_rateguard::{RateGuard, rate_limit};
use actix_web::{HttpResponse, web};

use super::checks::MAX_WAIT;
use crate::support::{
    eventually,
    server::{self, Response, Server},
};

pub struct Site(Server);

#[rate_limit(limit = 3, window = 3600)]
async fn limited() -> HttpResponse {
    HttpResponse::Ok().body("ok")
}

impl Site {
    pub fn start(guard: RateGuard) -> Self {
        Self(Server::start(move |app| {
            app.app_data(guard.clone()).route("/", web::get().to(limited));
        }))
    }

    pub fn get(&self) -> Response {
        let start = Instant::now();
        let response = server::get(&self.0.url("/"));
        assert!(start.elapsed() < MAX_WAIT, "{:?}", start.elapsed());
        assert!(matches!(response.status, 200 | 429), "{response:?}");
        response
    }

    /// Sends requests, and asserts that the server admits each of them without rate limit headers. This is the
    /// behaviour of the failure mode `open`.
    pub fn assert_open(&self, requests: usize) {
        for _ in 0..requests {
            let response = self.get();
            assert_eq!((response.status, response.header("x-ratelimit-remaining")), (200, None));
        }
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
