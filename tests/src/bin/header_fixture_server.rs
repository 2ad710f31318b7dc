//! Sends responses with every kind of rate limit header, to test clients in languages other than Rust:
//! `header_fixture_server ORIGIN`.
//!
//! The first line of output is the port that the system chose. The server identifies a client by the header
//! `X-Client`, or by its address if this header is missing. CORS allows scripts on pages from ORIGIN to read the
//! headers. The server ends when its standard input is closed.

#![allow(clippy::print_stdout, reason = "the parent process reads it")]

use std::{
    env,
    error::Error,
    io, process,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use actix_cors::Cors;
use actix_rateguard::{
    Limit, MemoryStore, OnError, RateGuard, RateGuardBuilder, RateLimit, RejectionBody, StoreError,
    headers::HeaderDialect::{self, Draft, XRateLimit, XRateLimitEpoch},
    key,
    test_util::FaultyStore,
};
use actix_web::{App, HttpRequest, HttpServer, dev::Service as _, http::Method, web};
use futures_util::future::ready;

const CLIENT: &str = "X-Client";

/// The number of requests for `/recovering` that fail before the next request succeeds.
const FAILURES: usize = 2;

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let origin = env::args().nth(1).ok_or("usage: header_fixture_server ORIGIN")?;
    let pages = Pages::new()?;
    let preflights = Arc::new(AtomicUsize::new(0));
    let server = HttpServer::new(move || {
        let (pages, counted, count) = (pages.clone(), preflights.clone(), preflights.clone());
        App::new()
            .route("/preflights", web::get().to(move || ready(counted.load(Relaxed).to_string())))
            .configure(|config| pages.register(config))
            .wrap(
                Cors::default()
                    .allowed_origin(&origin)
                    .allowed_methods(["GET", "PUT"])
                    .allowed_header(CLIENT)
                    .expose_headers(pages.both.header_names()),
            )
            // The CORS middleware responds to preflight requests itself, so preflights are counted outside this
            // middleware.
            .wrap_fn(move |request, service| {
                count.fetch_add(usize::from(request.method() == Method::OPTIONS), Relaxed);
                service.call(request)
            })
    });
    let server = server.workers(1).bind(("127.0.0.1", 0))?;
    println!("{}", server.addrs().first().ok_or("no address")?.port());
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        process::exit(0);
    });
    Ok(server.run().await?)
}

/// The guards that the pages use, and the store of the guard `recovering`.
#[derive(Clone)]
struct Pages {
    customary: RateGuard,
    epoch: RateGuard,
    draft: RateGuard,
    both: RateGuard,
    problems: RateGuard,
    unavailable: RateGuard,
    recovering: RateGuard,
    recovering_store: FaultyStore,
}

impl Pages {
    fn new() -> Result<Self, actix_rateguard::BuildError> {
        let guard =
            |dialects: &[HeaderDialect]| RateGuard::builder().headers(dialects.iter().copied());
        let closed = |guard: RateGuardBuilder, store: &FaultyStore| {
            guard.store(store.clone()).on_error(OnError::Closed).build()
        };
        let both = [XRateLimit, Draft];
        let failing_store = FaultyStore::new(MemoryStore::new());
        failing_store.fail(StoreError::Unreachable(None));
        let recovering_store = FaultyStore::new(MemoryStore::new());
        Ok(Self {
            customary: guard(&[XRateLimit]).build()?,
            epoch: guard(&[XRateLimitEpoch]).build()?,
            draft: guard(&[Draft]).build()?,
            both: guard(&both).build()?,
            problems: guard(&both).rejection_body(RejectionBody::ProblemDetails).build()?,
            unavailable: closed(guard(&both), &failing_store)?,
            recovering: closed(guard(&both), &recovering_store)?,
            recovering_store,
        })
    }

    fn register(&self, config: &mut web::ServiceConfig) {
        let two = |name| Limit::new("2/2s").name(name);
        // The cost is a closure, because a constant cost above the limit would be rejected when the application
        // starts.
        let six = |_: &HttpRequest| 6;
        for (path, guard, limit) in [
            ("/customary", &self.customary, two("customary")),
            ("/epoch", &self.epoch, two("epoch")),
            ("/draft", &self.draft, two("draft")),
            ("/both", &self.both, two("both")),
            ("/problems", &self.problems, two("problems")),
            ("/unavailable", &self.unavailable, two("unavailable")),
            ("/several", &self.both, Limit::new("2/2s; 3/4s").name("several")),
            // This name must be percent-encoded: a header cannot contain some of its characters, and a client would
            // decode the characters `%41` of the name as `A`.
            ("/named", &self.both, two(r#"größe"\%41"#)),
            ("/bucket", &self.draft, Limit::new("1/2s token_bucket burst 2").name("bucket")),
            ("/ban", &self.both, Limit::new("1/2s").name("ban").ban("2/minute for 2s")),
            ("/costly", &self.both, Limit::new("5/2s").name("costly").cost(six)),
        ] {
            let limit = RateLimit::new(guard, limit.key(key::header(CLIENT)));
            config.service(web::resource(path).to(hello).wrap(limit));
        }

        let (store, count) = (self.recovering_store.clone(), Arc::new(AtomicUsize::new(0)));
        let resource = web::resource("/recovering").to(hello);
        let resource = resource.wrap(RateLimit::new(&self.recovering, two("recovering")));
        config.service(resource.wrap_fn(move |request, service| {
            match count.fetch_add(1, Relaxed) % (FAILURES + 1) {
                FAILURES => store.work(),
                _ => store.fail(StoreError::Unreachable(None)),
            }
            service.call(request)
        }));
    }
}

async fn hello() -> &'static str {
    "Hello.\n"
}
