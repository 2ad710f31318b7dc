//! Records the history of an application server in a storm, which is a test that injects random faults. These functions
//! run in the server.

use std::{
    cell::RefCell,
    fs::File,
    io::{self, Write},
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use actix_rateguard::{CheckResult, Key, RequestPermit, store};
use actix_web::{
    HttpRequest,
    dev::{ServiceRequest, ServiceResponse},
};

use super::{
    history::{DecisionSource, PermitPoll, Record, Request},
    limits::{CLIENT, COST, HOLDING, PAGES},
    now,
};

tokio::task_local! {
    /// The number of the HTTP request for which the store is called.
    static REQUEST: u64;
}

/// Runs the future for the HTTP request with this number.
pub fn in_request<F: Future>(number: u64, future: F) -> impl Future<Output = F::Output> {
    REQUEST.scope(number, future)
}

/// Returns the number of the current HTTP request, or `None` outside of a request.
#[must_use]
pub fn current_request() -> Option<u64> {
    REQUEST.try_with(|number| *number).ok()
}

/// Returns the cost of the HTTP request, which is in its header.
#[must_use]
pub fn cost(request: &HttpRequest) -> u32 {
    let cost = request.headers().get(COST).and_then(|cost| cost.to_str().ok());
    cost.and_then(|cost| cost.parse().ok()).unwrap_or(1)
}

/// A request that takes a permit. The guard checks it in a task of its own, which does not have the number of the
/// request. The tasks of a worker begin in the order of its requests.
struct UnmatchedRequest {
    number: u64,
    page: usize,
    key: u128,
}

thread_local! {
    /// The requests of this worker that have no call of the store yet.
    static UNMATCHED: RefCell<Vec<UnmatchedRequest>> = const { RefCell::new(Vec::new()) };
}

/// Returns the number of the first request of this worker that has no call yet, for this policy and this key. Removes
/// this request from the unmatched requests.
#[must_use]
pub fn match_request(policy: &str, key: u128) -> Option<u64> {
    UNMATCHED.with_borrow_mut(|all| {
        let is_it =
            |it: &UnmatchedRequest| it.key == key && PAGES[it.page].policies.contains(&policy);
        let index = all.iter().position(is_it)?;
        Some(all.remove(index).number)
    })
}

/// Removes a request that was decided without a call of the store.
fn forget_unmatched(number: u64) {
    UNMATCHED.with_borrow_mut(|all| all.retain(|it| it.number != number));
}

fn digest(key: &Key) -> u128 {
    u128::from_be_bytes(store::Bucket::new("", 0, key).digest())
}

/// Records the history of the server.
#[derive(Debug)]
pub struct ServerLog {
    file: Mutex<LogFile>,
    /// The number of the next HTTP request.
    requests: AtomicU64,
    /// The number of replies that the server has received from the store.
    pub store_replies: AtomicU64,
}

/// The file of the history. The operating system has a record as soon as it is written, so a server that is killed
/// loses no records.
#[derive(Debug)]
struct LogFile {
    file: File,
    /// The error of the first record that was not written.
    error: Option<io::Error>,
}

impl ServerLog {
    /// Creates the file of the history.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be created.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = LogFile { file: File::create(path)?, error: None };
        let (requests, store_replies) = (AtomicU64::new(1), AtomicU64::new(0));
        Ok(Self { file: Mutex::new(file), requests, store_replies })
    }

    /// Writes a record. An error is reported by [`finish`](Self::finish).
    pub fn write(&self, record: &Record) {
        let line = format!("{record}\n");
        let mut file = self.file();
        if let Err(error) = file.file.write_all(line.as_bytes()) {
            file.error.get_or_insert(error);
        }
    }

    /// Returns the error of the first record that was not written.
    ///
    /// # Errors
    ///
    /// Returns this error.
    pub fn finish(&self) -> io::Result<()> {
        self.file().error.take().map_or(Ok(()), Err)
    }

    /// Tests for a handler whether the permit of the current request is still valid, and records this poll.
    #[must_use]
    pub fn poll(&self, permit: &RequestPermit) -> bool {
        let request = current_request().unwrap_or(0);
        forget_unmatched(request);
        let at = now();
        let is_valid = permit.is_valid();
        self.write(&Record::PermitPoll(PermitPoll { request, at, is_valid }));
        is_valid
    }

    fn file(&self) -> std::sync::MutexGuard<'_, LogFile> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins the record of a request. Returns `None` if the request is not for one of the pages, or if it names no
    /// client.
    #[must_use]
    pub fn begin_request(&self, request: &ServiceRequest) -> Option<Request> {
        let page = PAGES.iter().position(|page| page.path == request.path())?;
        let client = request.headers().get(CLIENT)?.to_str().ok()?.to_owned();
        let number = self.requests.fetch_add(1, Relaxed);
        if HOLDING.contains(&PAGES[page].path) {
            let unmatched = UnmatchedRequest { number, page, key: digest(&Key::from(&client)) };
            UNMATCHED.with_borrow_mut(|all| all.push(unmatched));
        }
        Some(Request {
            number,
            received_at: now(),
            responded_at: 0,
            page,
            client,
            cost: cost(request.request()),
            status: 0,
            source: DecisionSource::Undecided,
        })
    }

    /// Ends the record of a request.
    pub fn end_request<B>(&self, mut request: Request, response: &ServiceResponse<B>) {
        forget_unmatched(request.number);
        request.source = match CheckResult::of(response.request()).decision() {
            Some(decision) if decision.is_local() => DecisionSource::Memory,
            Some(decision) if decision.is_leased() => DecisionSource::Lease,
            Some(_) => DecisionSource::Store,
            None => DecisionSource::Undecided,
        };
        request.responded_at = now();
        request.status = response.status().as_u16();
        self.write(&Record::Request(request));
    }
}
