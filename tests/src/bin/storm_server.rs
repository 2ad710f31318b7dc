//! A server in a storm: `storm_server URL PREFIX MODE DEADLINE HISTORY`.
//!
//! Its first line is the port that the system chose. It limits [its pages](PAGES) by the Redis at URL; what happens without an
//! answer is the MODE `open`, `closed` or `local`, and a check takes no more than DEADLINE milliseconds. It writes a line
//! into the file HISTORY for each operation on Redis and for each request. `/answers` tells how often Redis has answered.
//! It ends when its standard input does.

#![allow(clippy::print_stdout, reason = "its parent reads it")]

use std::{
    env,
    error::Error,
    fs::File,
    io::{self, BufWriter, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Duration,
};

use actix_web::{
    App, FromRequest, HttpRequest, HttpResponse, HttpServer,
    dev::{Payload, Service as _, ServiceRequest, ServiceResponse},
    web,
};
use rateguard::{
    Count, Decision, OnError, Policy, RateGuard, RateLimit, StoreError, key, rate_limit,
    store::{Answer, Charge, Operation, Store, Verdict},
};
use rateguard_tests::storm::{
    PATIENCE,
    history::{Asked, Bucket, Decided, Line, Part, Request, Said},
    limits::{BANS, CLIENT, COST, FREE, LIMITS, PAGES, SERVERS, number},
    now,
    remembered::REMEMBERED,
};

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [url, prefix, mode, deadline, history] = <[String; 5]>::try_from(args)
        .map_err(|_| "usage: storm_server URL PREFIX MODE DEADLINE HISTORY")?;
    let deadline = Duration::from_millis(deadline.parse()?);
    let mut file = BufWriter::new(File::create(history)?);
    let (lines, written) = mpsc::channel::<Option<Line>>();
    // A thread of its own, so that no request waits for the disk.
    let writer = thread::spawn(move || {
        for line in written.iter().map_while(|line| line) {
            writeln!(file, "{line}")?;
        }
        file.flush()
    });
    let notes = Arc::new(Notes { lines, requests: AtomicU64::new(1), answers: AtomicU64::new(0) });

    let redis = RateGuard::redis(url).prefix(prefix).deadline(deadline).build()?;
    let mut guard = RateGuard::builder()
        .store(Recorder { redis, notes: Arc::clone(&notes) })
        .deadline(deadline)
        .remember_denials(REMEMBERED)
        .replicas(SERVERS)
        .on_error(match &*mode {
            "open" => OnError::Open,
            "closed" => OnError::Closed,
            "local" => OnError::Local,
            _ => return Err("the mode is open, closed or local".into()),
        });
    for (name, rates) in LIMITS {
        let mut policy = Policy::new(name, rates)?;
        if let Some((_, ban)) = BANS.iter().find(|(banned, _)| *banned == name) {
            policy = policy.ban(*ban)?;
        }
        guard = guard.policy(policy);
    }
    let guard = guard.build()?;

    let of_pages = Arc::clone(&notes);
    let server = HttpServer::new(move || {
        let (notes, told) = (Arc::clone(&of_pages), Arc::clone(&of_pages));
        let guard = guard.clone();
        let answers =
            web::get().to(move || std::future::ready(told.answers.load(Relaxed).to_string()));
        App::new()
            .app_data(guard.clone())
            .configure(move |config| register(config, &guard))
            .route("/answers", answers)
            .wrap_fn(move |request, service| {
                let noted = notes.request(&request);
                let number = noted.as_ref().map_or(0, |noted| noted.number);
                let (answer, notes) = (REQUEST.scope(number, service.call(request)), notes.clone());
                async move {
                    let answer = answer.await?;
                    if let Some(noted) = noted {
                        notes.answered(noted, &answer);
                    }
                    Ok(answer)
                }
            })
    });
    // On a slow machine a client may be silent for long.
    let server = server.keep_alive(PATIENCE).client_request_timeout(PATIENCE);
    let server = server.workers(2).bind(("127.0.0.1", 0))?;
    println!("{}", server.addrs().first().ok_or("no address")?.port());
    let running = server.run();
    let handle = running.handle();
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        drop(handle.stop(true));
    });
    running.await?;
    notes.lines.send(None)?;
    Ok(writer.join().map_err(|_| "the writer of the history panicked")??)
}

fn register(config: &mut web::ServiceConfig, guard: &RateGuard) {
    let by = |name| RateLimit::policy(guard, name).by(key::header(CLIENT));
    for path in ["log", "fixed", "counter", "long", "banned"] {
        config.service(web::resource(format!("/{path}")).to(page).wrap(by(path)));
    }
    let both = by("each").and_policy("all").by(key::global());
    let refund = by("refund").cost(cost).count(Count::Status(200));
    config
        .service(web::resource("/refund").to(page).wrap(refund))
        .service(web::resource("/both").to(page).wrap(both))
        .route("/costs", web::get().to(costs))
        .route("/several", web::get().to(several))
        .route("/mixed", web::get().to(mixed))
        .route("/bucket", web::get().to(bucket))
        .service(web::resource("/nested").to(nested).wrap(by("outer")));
}

async fn page(request: HttpRequest) -> HttpResponse {
    match request.headers().contains_key(FREE) {
        true => HttpResponse::NoContent().finish(),
        false => HttpResponse::Ok().body("ok"),
    }
}

#[rate_limit(policy = "costs", key = "header:X-Client", cost = cost)]
async fn costs() -> &'static str {
    "ok"
}

#[rate_limit(policy = "several", key = "header:X-Client")]
async fn several() -> &'static str {
    "ok"
}

#[rate_limit(policy = "mixed", key = "header:X-Client", cost = cost)]
async fn mixed() -> &'static str {
    "ok"
}

#[rate_limit(policy = "bucket", key = "header:X-Client")]
async fn bucket() -> &'static str {
    "ok"
}

#[rate_limit(policy = "log", key = "header:X-Client")]
async fn nested() -> &'static str {
    "ok"
}

fn cost(request: &HttpRequest) -> u32 {
    let cost = request.headers().get(COST).and_then(|cost| cost.to_str().ok());
    cost.and_then(|cost| cost.parse().ok()).unwrap_or(1)
}

tokio::task_local! {
    /// The number of the request for which the store is asked.
    static REQUEST: u64;
}

/// Where all is written down.
struct Notes {
    /// Lines for the file, and nothing after the last one.
    lines: mpsc::Sender<Option<Line>>,
    /// The number of the next request.
    requests: AtomicU64,
    /// How often the store has answered.
    answers: AtomicU64,
}

impl Notes {
    fn write(&self, line: Line) {
        // If the writer is gone, the server ends with its error.
        let _ = self.lines.send(Some(line));
    }

    /// A request for one of the pages, before its answer.
    fn request(&self, request: &ServiceRequest) -> Option<Request> {
        let page = PAGES.iter().position(|page| page.path == request.path())?;
        let client = request.headers().get(CLIENT)?.to_str().ok()?.to_owned();
        Some(Request {
            number: self.requests.fetch_add(1, Relaxed),
            came: now(),
            went: 0,
            page,
            client,
            cost: cost(request.request()),
            status: 0,
            decided: Decided::Nobody,
        })
    }

    fn answered<B>(&self, mut request: Request, answer: &ServiceResponse<B>) {
        let decision = Decision::from_request(answer.request(), &mut Payload::None).into_inner();
        request.decided = match decision {
            Ok(decision) if decision.is_local() => Decided::Locally,
            Ok(_) => Decided::Together,
            Err(_) => Decided::Nobody,
        };
        request.went = now();
        request.status = answer.status().as_u16();
        self.write(Line::Request(request));
    }
}

/// The store of a guard on Redis, and what it is asked and says.
struct Recorder {
    redis: RateGuard,
    notes: Arc<Notes>,
}

impl Store for Recorder {
    fn apply<'a>(&'a self, operation: Operation, charges: &'a [Charge<'a>]) -> Answer<'a> {
        self.record(operation, charges, self.redis.store().apply(operation, charges))
    }

    fn apply_within<'a>(
        &'a self,
        deadline: Duration,
        operation: Operation,
        charges: &'a [Charge<'a>],
    ) -> Answer<'a> {
        let answer = self.redis.store().apply_within(deadline, operation, charges);
        self.record(operation, charges, answer)
    }

    fn timeout_cause(&self, charges: &[Charge<'_>]) -> StoreError {
        self.redis.store().timeout_cause(charges)
    }

    fn health(&self) -> Result<(), StoreError> {
        self.redis.store().health()
    }
}

impl Recorder {
    fn record<'a>(
        &'a self,
        operation: Operation,
        charges: &'a [Charge<'a>],
        answer: Answer<'a>,
    ) -> Answer<'a> {
        Answer::Later(Box::pin(async move {
            // What counts offences, and begins and ends bans, is not judged by itself.
            if !charges.iter().any(|charge| policy(charge).is_some()) {
                return answer.get().await;
            }
            let mut asking = Asking::begin(self, operation, charges);
            let answer = answer.get().await;
            match &answer {
                Ok(verdict) => asking.answered(verdict),
                Err(error) => asking.cause = Some(*error),
            }
            answer
        }))
    }
}

/// An operation that is under way. It is written down also if nobody waits for its end.
struct Asking<'a> {
    recorder: &'a Recorder,
    charges: &'a [Charge<'a>],
    cause: Option<StoreError>,
    asked: Asked,
}

impl<'a> Asking<'a> {
    fn begin(recorder: &'a Recorder, operation: Operation, charges: &'a [Charge<'a>]) -> Self {
        let part = |charge: &Charge<'_>| Part {
            bucket: Bucket {
                policy: policy(charge).unwrap_or(LIMITS.len()),
                place: charge.bucket.place(),
                key: u128::from_be_bytes(charge.bucket.digest()),
            },
            cost: charge.cost,
            reset_after: 0,
            taken_by: call(charge.receipt.words()),
        };
        let asked = Asked {
            request: REQUEST.try_with(|number| *number).unwrap_or(0),
            operation,
            began: now(),
            ended: 0,
            said: None,
            cause: String::new(),
            parts: charges.iter().filter(|charge| !charge.is_gate).map(part).collect(),
        };
        Self { recorder, charges, cause: None, asked }
    }

    fn answered(&mut self, verdict: &Verdict) {
        self.recorder.notes.answers.fetch_add(1, Relaxed);
        let words = verdict.receipts().next().map(|receipt| receipt.words()).unwrap_or_default();
        let [.., at] = words;
        let is_allowed = verdict.is_allowed();
        let mut banned_for = 0;
        let mut parts = self.asked.parts.iter_mut();
        for (charge, level) in self.charges.iter().zip(verdict.levels()) {
            if charge.is_gate {
                banned_for = level.retry_after.unwrap_or_default().as_micros() as u64;
            } else if let Some(part) = parts.next() {
                part.reset_after = level.reset_after.as_micros() as u64;
            }
        }
        self.asked.said = Some(Said { is_allowed, at, call: call(words), banned_for });
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.asked.ended = now();
        if self.asked.said.is_none() {
            let cause = self.cause.unwrap_or_else(|| self.recorder.timeout_cause(self.charges));
            self.asked.cause = format!("{cause:?}");
        }
        self.recorder.notes.write(Line::Asked(self.asked.clone()));
    }
}

fn policy(charge: &Charge<'_>) -> Option<usize> {
    number(charge.bucket.name())
}

fn call([process, number, _]: [u64; 3]) -> (u64, u64) {
    (process, number)
}
