//! Detects guards that the workers of a server build. In memory, each of these guards counts alone, so a server with four
//! workers admits four times the limit.

use std::{
    panic::Location,
    sync::{Mutex, PoisonError},
    thread::{self, ThreadId},
};

/// The beginnings of the names of actix-web's worker threads, with and without an actix system (`actix_web::main` and
/// `tokio::main`). Only these threads call the closure that `HttpServer::new` gets.
const WORKER_NAMES: [&str; 2] = ["actix-rt|system:", "actix-server worker "];

/// The places that have built a guard on a worker thread.
static PLACES: Mutex<Vec<Place>> = Mutex::new(Vec::new());

struct Place {
    location: &'static Location<'static>,
    /// The first worker that built a guard at this place.
    worker: ThreadId,
    has_warned: bool,
}

/// Records that this thread builds a guard. If a second worker builds a guard at the same place, logs one warning. A
/// server with one worker gets no warning, because it counts correctly.
pub(crate) fn record(location: &'static Location<'static>) {
    let thread = thread::current();
    let is_worker = |name: &str| WORKER_NAMES.iter().any(|beginning| name.starts_with(beginning));
    if thread.name().is_some_and(is_worker) && is_second_worker(location, thread.id()) {
        log::warn!(
            target: "rateguard",
            "each worker of the server builds a guard of its own at {location}. In memory, each guard counts alone, so N workers admit N times the limit. Build the guard before `HttpServer::new`, and move a clone of it into the closure"
        );
    }
}

/// Returns true at the first guard that another worker than the first one builds at this place.
fn is_second_worker(location: &'static Location<'static>, worker: ThreadId) -> bool {
    // Code under this lock cannot leave the list in an inconsistent state, so it is safe to use a poisoned lock.
    let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(place) = places.iter_mut().find(|place| place.location == location) else {
        places.push(Place { location, worker, has_warned: false });
        return false;
    };
    let is_second = place.worker != worker && !place.has_warned;
    place.has_warned |= is_second;
    is_second
}
