//! A web server with one limited page, for faults as its clients see them.

use std::time::Instant;

use actix_web::{HttpResponse, web};
use rateguard::{RateGuard, rate_limit};

use super::checks::AT_MOST;
use crate::support::{
    eventually,
    server::{self, Answer, Server},
};

pub struct Site(Server);

#[rate_limit(limit = 3, window = 3600)]
async fn limited() -> HttpResponse {
    HttpResponse::Ok().body("ok")
}

impl Site {
    pub fn on(guard: RateGuard) -> Self {
        Self(Server::start(move |app| {
            app.app_data(guard.clone()).route("/", web::get().to(limited));
        }))
    }

    pub fn ask(&self) -> Answer {
        let start = Instant::now();
        let answer = server::get(&self.0.url("/"));
        assert!(start.elapsed() < AT_MOST, "{:?}", start.elapsed());
        assert!(matches!(answer.status, 200 | 429), "{answer:?}");
        answer
    }

    /// Lets so many pass, and tells them no numbers.
    pub fn is_open(&self, requests: usize) {
        for _ in 0..requests {
            let answer = self.ask();
            assert_eq!((answer.status, answer.header("x-ratelimit-remaining")), (200, None));
        }
    }

    /// Asks until Redis has decided.
    pub fn until_limited(&self) -> Answer {
        eventually("decisions are made again", || {
            let answer = self.ask();
            answer.header("x-ratelimit-remaining").is_some().then_some(answer)
        })
    }

    /// Begins to count, and refuses the fourth.
    pub fn limits_from_the_first(&self) {
        assert_eq!(self.until_limited().number("x-ratelimit-remaining"), 2);
        assert_eq!([200, 200, 429], [(); 3].map(|()| self.ask().status));
    }
}
