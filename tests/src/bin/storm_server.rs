//! Runs an application server in a storm, which is a test that injects random faults: `storm_server URL PREFIX
//! MODE DEADLINE HISTORY`.
//!
//! The first line of output is the port that the system chose. The server has [the pages of a storm](PAGES), whose
//! limits are stored in the Redis at URL. MODE is the failure mode: `open`, `closed` or `local`. DEADLINE is the
//! deadline of checks in milliseconds. For each call of its store and for each HTTP request, the server writes a line
//! into the file HISTORY. `/store_replies` returns the number of replies that the server has received from Redis. The
//! server ends when its standard input is closed.

#![allow(clippy::print_stdout, reason = "the parent process reads it")]

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

use actix_rateguard::{
    CheckResult, Limit, OnError, Policy, RateGuard, RateLimit, StoreError, key, rate_limit,
    store::{BucketRequest, Operation, Store, StoreFuture, Verdict},
};
use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    dev::{Service as _, ServiceRequest, ServiceResponse},
    web,
};
use rateguard_tests::storm::{
    TIMEOUT,
    cached_denials::DENIAL_CACHE_TTL,
    history::{Bucket, DecisionSource, Part, Record, Request, StoreCall, StoreReply},
    limits::{BANS, CLIENT, COST, FREE, LIMITS, PAGES, Page, SERVERS, policy_index},
    now,
    storm_server::WORKERS,
};

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [url, prefix, mode, deadline, history] = <[String; 5]>::try_from(args)
        .map_err(|_| "usage: storm_server URL PREFIX MODE DEADLINE HISTORY")?;
    let deadline = Duration::from_millis(deadline.parse()?);
    let mut file = BufWriter::new(File::create(history)?);
    let (records, written) = mpsc::channel::<Option<Record>>();
    // A separate thread writes the file, so no request waits for the disk.
    let writer = thread::spawn(move || {
        for record in written.iter().map_while(|record| record) {
            writeln!(file, "{record}")?;
        }
        file.flush()
    });
    let log =
        Arc::new(Log { records, requests: AtomicU64::new(1), store_replies: AtomicU64::new(0) });

    let redis = RateGuard::redis(url).prefix(prefix).deadline(deadline);
    let redis = redis.for_attributes(false).build()?;
    let mut guard = RateGuard::builder()
        .store(RecordingStore { redis, log: Arc::clone(&log) })
        .deadline(deadline)
        .denial_cache_ttl(DENIAL_CACHE_TTL)
        .replicas(SERVERS)
        .on_error(match &*mode {
            "open" => OnError::Open,
            "closed" => OnError::Closed,
            "local" => OnError::Local,
            _ => return Err("expected the mode `open`, `closed` or `local`".into()),
        });
    for (name, rates) in LIMITS {
        let mut policy = Policy::new(name, rates)?;
        if let Some((_, ban)) = BANS.iter().find(|(banned, _)| *banned == name) {
            policy = policy.ban(*ban)?;
        }
        guard = guard.policy(policy);
    }
    let guard = guard.build()?;

    let shared_log = Arc::clone(&log);
    let server = HttpServer::new(move || {
        let (log, counted) = (Arc::clone(&shared_log), Arc::clone(&shared_log));
        let guard = guard.clone();
        let store_replies = web::get()
            .to(move || std::future::ready(counted.store_replies.load(Relaxed).to_string()));
        App::new()
            .app_data(guard.clone())
            .configure(move |config| register(config, &guard))
            .route("/store_replies", store_replies)
            .wrap_fn(move |request, service| {
                let recorded = log.begin_request(&request);
                let number = recorded.as_ref().map_or(0, |recorded| recorded.number);
                let (response, log) = (REQUEST.scope(number, service.call(request)), log.clone());
                async move {
                    let response = response.await?;
                    if let Some(recorded) = recorded {
                        log.end_request(recorded, &response);
                    }
                    Ok(response)
                }
            })
    });
    // The timeouts are long, because a client on a slow machine may pause for longer than the default timeouts allow.
    let server = server.keep_alive(TIMEOUT).client_request_timeout(TIMEOUT);
    let server = server.workers(WORKERS).bind(("127.0.0.1", 0))?;
    println!("{}", server.addrs().first().ok_or("no address")?.port());
    let running = server.run();
    let handle = running.handle();
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        drop(handle.stop(true));
    });
    running.await?;
    log.records.send(None)?;
    Ok(writer.join().map_err(|_| "the writer of the history panicked")??)
}

#[allow(clippy::panic, reason = "a page without a route is a mistake in the list of pages")]
fn register(config: &mut web::ServiceConfig, guard: &RateGuard) {
    let by = |name| Limit::policy(name).key(key::header(CLIENT));
    let limited = |limit| RateLimit::new(guard, limit);
    for Page { path, policies, .. } in &PAGES {
        let resource = web::resource(*path);
        match (*path, *policies) {
            ("/refund", [policy]) => {
                let limit = by(*policy).cost(cost).count("status:200");
                config.service(resource.to(page).wrap(limited(limit)))
            }
            ("/both", [each, all]) => {
                let limits = limited(by(*each)).and(Limit::policy(*all).key(key::global()));
                config.service(resource.to(page).wrap(limits))
            }
            ("/nested", [outer, _]) => {
                config.service(resource.to(nested).wrap(limited(by(*outer))))
            }
            ("/costs", _) => config.route(path, web::get().to(costs)),
            ("/several", _) => config.route(path, web::get().to(several)),
            ("/mixed", _) => config.route(path, web::get().to(mixed)),
            ("/bucket", _) => config.route(path, web::get().to(bucket)),
            (_, [policy]) => {
                let limit = by(*policy).cost(cost);
                config.service(resource.to(page).wrap(limited(limit)))
            }
            _ => panic!("the page {path} has several policies, so it needs its own route"),
        };
    }
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
    /// The number of the HTTP request for which the store is called.
    static REQUEST: u64;
}

/// Records the history of the server.
struct Log {
    /// The channel to the thread that writes the history. The message `None` ends that thread.
    records: mpsc::Sender<Option<Record>>,
    /// The number of the next HTTP request.
    requests: AtomicU64,
    /// The number of replies that the server has received from the store.
    store_replies: AtomicU64,
}

impl Log {
    fn write(&self, record: Record) {
        // If the writing thread has failed, the channel is closed and sending fails too. The server later returns the
        // error of the writing thread.
        let _ = self.records.send(Some(record));
    }

    /// Begins the record of a request. Returns `None` if the request is not for one of the pages, or if it names no
    /// client.
    fn begin_request(&self, request: &ServiceRequest) -> Option<Request> {
        let page = PAGES.iter().position(|page| page.path == request.path())?;
        let client = request.headers().get(CLIENT)?.to_str().ok()?.to_owned();
        Some(Request {
            number: self.requests.fetch_add(1, Relaxed),
            received_at: now(),
            responded_at: 0,
            page,
            client,
            cost: cost(request.request()),
            status: 0,
            source: DecisionSource::Undecided,
        })
    }

    fn end_request<B>(&self, mut request: Request, response: &ServiceResponse<B>) {
        request.source = match CheckResult::of(response.request()).decision() {
            Some(decision) if decision.is_local() => DecisionSource::Memory,
            Some(_) => DecisionSource::Store,
            None => DecisionSource::Undecided,
        };
        request.responded_at = now();
        request.status = response.status().as_u16();
        self.write(Record::Request(request));
    }
}

/// A Redis store that records its calls.
struct RecordingStore {
    redis: RateGuard,
    log: Arc<Log>,
}

impl Store for RecordingStore {
    fn apply<'a>(
        &'a self,
        operation: Operation,
        bucket_requests: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        self.record(
            operation,
            bucket_requests,
            self.redis.store().apply(operation, bucket_requests),
        )
    }

    fn apply_with_deadline<'a>(
        &'a self,
        deadline: Duration,
        operation: Operation,
        bucket_requests: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        let future = self.redis.store().apply_with_deadline(deadline, operation, bucket_requests);
        self.record(operation, bucket_requests, future)
    }

    fn timeout_cause(&self, bucket_requests: &[BucketRequest<'_>]) -> StoreError {
        self.redis.store().timeout_cause(bucket_requests)
    }

    fn health(&self) -> Result<(), StoreError> {
        self.redis.store().health()
    }
}

impl RecordingStore {
    fn record<'a>(
        &'a self,
        operation: Operation,
        bucket_requests: &'a [BucketRequest<'a>],
        future: StoreFuture<'a>,
    ) -> StoreFuture<'a> {
        StoreFuture::Pending(Box::pin(async move {
            // Some calls only count offences, or begin or end bans. The judge does not check these calls separately,
            // so the server does not record them.
            if !bucket_requests.iter().any(|bucket_request| policy(bucket_request).is_some()) {
                return future.get().await;
            }
            let mut pending = PendingCall::begin(self, operation, bucket_requests);
            let result = future.get().await;
            match &result {
                Ok(verdict) => pending.set_reply(verdict),
                Err(error) => pending.error = Some(*error),
            }
            result
        }))
    }
}

/// A store call that has no reply yet. When this value is dropped, the call is recorded, so cancelled calls are
/// recorded too.
struct PendingCall<'a> {
    store: &'a RecordingStore,
    bucket_requests: &'a [BucketRequest<'a>],
    error: Option<StoreError>,
    call: StoreCall,
}

impl<'a> PendingCall<'a> {
    fn begin(
        store: &'a RecordingStore,
        operation: Operation,
        bucket_requests: &'a [BucketRequest<'a>],
    ) -> Self {
        let part = |bucket_request: &BucketRequest<'_>| Part {
            bucket: Bucket {
                policy: policy(bucket_request).unwrap_or(LIMITS.len()),
                quota_index: bucket_request.bucket.index(),
                key: u128::from_be_bytes(bucket_request.bucket.digest()),
            },
            cost: bucket_request.cost,
            reset_after: 0,
            refund_of: receipt_id(bucket_request.receipt.words()),
        };
        let call = StoreCall {
            request: REQUEST.try_with(|number| *number).unwrap_or(0),
            operation,
            began: now(),
            ended: 0,
            reply: None,
            error: String::new(),
            parts: bucket_requests
                .iter()
                .filter(|bucket_request| !bucket_request.check_only)
                .map(part)
                .collect(),
        };
        Self { store, bucket_requests, error: None, call }
    }

    fn set_reply(&mut self, verdict: &Verdict) {
        self.store.log.store_replies.fetch_add(1, Relaxed);
        let words = verdict.receipts().next().map(|receipt| receipt.words()).unwrap_or_default();
        let [.., at] = words;
        let is_allowed = verdict.is_allowed();
        let mut banned_for = 0;
        let mut parts = self.call.parts.iter_mut();
        for (bucket_request, level) in self.bucket_requests.iter().zip(verdict.statuses()) {
            if bucket_request.check_only {
                banned_for = level.retry_after.unwrap_or_default().as_micros() as u64;
            } else if let Some(part) = parts.next() {
                part.reset_after = level.reset_after.as_micros() as u64;
            }
        }
        let receipt = receipt_id(words);
        self.call.reply = Some(StoreReply { is_allowed, at, receipt, banned_for });
    }
}

impl Drop for PendingCall<'_> {
    fn drop(&mut self) {
        self.call.ended = now();
        if self.call.reply.is_none() {
            let error =
                self.error.unwrap_or_else(|| self.store.timeout_cause(self.bucket_requests));
            self.call.error = format!("{error:?}");
        }
        self.store.log.write(Record::StoreCall(self.call.clone()));
    }
}

fn policy(bucket_request: &BucketRequest<'_>) -> Option<usize> {
    policy_index(bucket_request.bucket.name())
}

fn receipt_id([process, number, _]: [u64; 3]) -> (u64, u64) {
    (process, number)
}
