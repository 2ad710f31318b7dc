//! Answers in every way that there is, for clients in other languages: `answering ORIGIN`.
//!
//! Its first line is the port that the system chose. Who asks is told apart by the field `X-Client`, or else by address.
//! Scripts of pages at ORIGIN may ask, too. It ends when its standard input does, so that it outlives nobody.

#![allow(clippy::print_stdout, reason = "its parent reads it")]

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
use actix_web::{App, HttpRequest, HttpServer, dev::Service as _, http::Method, web};
use futures_util::future::ready;
use rateguard::{
    MemoryStore, OnError, RateGuard, RateGuardBuilder, RateLimit, RefusalBody, StoreError,
    headers::HeaderDialect::{self, Draft, XRateLimit, XRateLimitEpoch},
    key,
    test_util::FaultyStore,
};

const CLIENT: &str = "X-Client";

/// How many of the requests for `/back` find the store away before one finds it back.
const AWAY: usize = 2;

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let origin = env::args().nth(1).ok_or("usage: answering ORIGIN")?;
    let pages = Pages::new()?;
    let preflights = Arc::new(AtomicUsize::new(0));
    let server = HttpServer::new(move || {
        let (pages, told, count) = (pages.clone(), preflights.clone(), preflights.clone());
        App::new()
            .route("/preflights", web::get().to(move || ready(told.load(Relaxed).to_string())))
            .configure(|config| pages.register(config))
            .wrap(
                Cors::default()
                    .allowed_origin(&origin)
                    .allowed_methods(["GET", "PUT"])
                    .allowed_header(CLIENT)
                    .expose_headers(pages.both.header_names()),
            )
            // Around it, as nothing inside is asked about the preflights that it answers.
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

/// The guards of all pages.
#[derive(Clone)]
struct Pages {
    customary: RateGuard,
    epoch: RateGuard,
    draft: RateGuard,
    both: RateGuard,
    problems: RateGuard,
    away: RateGuard,
    back: RateGuard,
    store_of_back: FaultyStore,
}

impl Pages {
    fn new() -> Result<Self, rateguard::BuildError> {
        let guard =
            |dialects: &[HeaderDialect]| RateGuard::builder().headers(dialects.iter().copied());
        let closed = |guard: RateGuardBuilder, store: &FaultyStore| {
            guard.store(store.clone()).on_error(OnError::Closed).build()
        };
        let both = [XRateLimit, Draft];
        let store_of_away = FaultyStore::new(MemoryStore::new());
        store_of_away.fail(StoreError::Unreachable);
        let store_of_back = FaultyStore::new(MemoryStore::new());
        Ok(Self {
            customary: guard(&[XRateLimit]).build()?,
            epoch: guard(&[XRateLimitEpoch]).build()?,
            draft: guard(&[Draft]).build()?,
            both: guard(&both).build()?,
            problems: guard(&both).refusal_body(RefusalBody::ProblemDetails).build()?,
            away: closed(guard(&both), &store_of_away)?,
            back: closed(guard(&both), &store_of_back)?,
            store_of_back,
        })
    }

    fn register(&self, config: &mut web::ServiceConfig) {
        let two = |guard| RateLimit::new(guard, "2/2s");
        // A closure, as a number above the limit is refused when the application starts.
        let six = |_: &HttpRequest| 6;
        for (path, limit) in [
            ("/customary", two(&self.customary).name("customary")),
            ("/epoch", two(&self.epoch).name("epoch")),
            ("/draft", two(&self.draft).name("draft")),
            ("/both", two(&self.both).name("both")),
            ("/problems", two(&self.problems).name("problems")),
            ("/away", two(&self.away).name("away")),
            ("/several", RateLimit::new(&self.both, "2/2s; 3/4s").name("several")),
            // Written as it is, no field could hold this name, or it would be read as another.
            ("/named", two(&self.both).name(r#"größe"\%41"#)),
            ("/bucket", RateLimit::new(&self.draft, "1/2s token_bucket burst 2").name("bucket")),
            ("/ban", RateLimit::new(&self.both, "1/2s").name("ban").ban("2/minute for 2s")),
            ("/costly", RateLimit::new(&self.both, "5/2s").name("costly").cost(six)),
        ] {
            config.service(web::resource(path).to(hello).wrap(limit.by(key::header(CLIENT))));
        }

        let (store, asked) = (self.store_of_back.clone(), Arc::new(AtomicUsize::new(0)));
        let back = web::resource("/back").to(hello).wrap(two(&self.back).name("back"));
        config.service(back.wrap_fn(move |request, service| {
            match asked.fetch_add(1, Relaxed) % (AWAY + 1) {
                AWAY => store.work(),
                _ => store.fail(StoreError::Unreachable),
            }
            service.call(request)
        }));
    }
}

async fn hello() -> &'static str {
    "Hello.\n"
}
