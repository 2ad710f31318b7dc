//! Warns if each worker of a server builds a guard of its own. In memory, each of these guards counts only the requests
//! of its own worker, so a server with four workers admits four times the limit. On a server, each of them opens its own
//! connections and has its own caches.

use std::{
    panic::Location,
    sync::{Mutex, PoisonError, Weak},
    thread::{self, ThreadId},
};

use crate::inventory::MiddlewareRegistry;

/// The prefixes of the names of actix-web's worker threads: first with an actix system (`actix_web::main`), then
/// without one (`tokio::main`). Only worker threads call the closure that `HttpServer::new` gets. The threads of the
/// application's own `Arbiter`s have such names, too, so the warning mentions them.
const WORKER_NAME_PREFIXES: [&str; 2] = ["actix-rt|system:", "actix-server worker "];

/// Where a guard counts.
pub(crate) enum Counting {
    Memory,
    /// On Redis or Upstash.
    Server,
    /// In a store of the application.
    OwnStore,
}

/// The places in the source that have built a guard on a worker thread.
static PLACES: Mutex<Vec<Place>> = Mutex::new(Vec::new());

/// A place in the source that builds guards.
struct Place {
    location: &'static Location<'static>,
    /// The worker that built the first guard at this place.
    worker: ThreadId,
    /// Can be upgraded as long as the guard of this worker exists.
    guard_in_use: Weak<MiddlewareRegistry>,
    has_warned: bool,
}

/// Records that this thread has built a guard, if it is a worker thread. Logs one warning for a place in the source if
/// two workers build a guard there and both guards exist at the same time. A server with one worker causes no warning,
/// because it counts correctly. A worker that replaces a crashed worker also causes no warning, because the guard of
/// the crashed worker no longer exists. `guard_in_use` can be upgraded as long as the guard exists.
pub(crate) fn record(
    guard_in_use: Weak<MiddlewareRegistry>,
    counting: Counting,
    location: &'static Location<'static>,
) {
    let thread = thread::current();
    let is_worker_name =
        |name: &str| WORKER_NAME_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let is_worker = thread.name().is_some_and(is_worker_name);
    if is_worker && should_warn(guard_in_use, location, thread.id()) {
        let effect = match counting {
            Counting::Server => {
                "On a server, the guards share their counts, but each worker opens its own connections and has its own caches, so a reset or a ban may take effect later in other workers"
            }
            Counting::OwnStore => {
                "Unless their stores share their counts, each guard counts only the requests of its own worker, so N workers admit N times the limit"
            }
            Counting::Memory => {
                "In memory, each guard counts only the requests of its own worker, so N workers admit N times the limit"
            }
        };
        log::warn!(
            target: "rateguard",
            "several workers of a server (or `Arbiter`s) have each built a guard of their own at {location}. {effect}. Build the guard before `HttpServer::new`, and move a clone of it into the closure"
        );
    }
}

/// Records the guard of a worker. Returns true once for each place, when a second worker builds a guard there.
fn should_warn(
    guard_in_use: Weak<MiddlewareRegistry>,
    location: &'static Location<'static>,
    worker: ThreadId,
) -> bool {
    // Code under this lock cannot leave the list in an inconsistent state, so it is safe to use a poisoned lock.
    let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(place) = places.iter_mut().find(|place| place.location == location) else {
        places.push(Place { location, worker, guard_in_use, has_warned: false });
        return false;
    };
    if place.guard_in_use.strong_count() == 0 {
        place.worker = worker;
        place.guard_in_use = guard_in_use;
    }
    let is_second = place.worker != worker && !place.has_warned;
    place.has_warned |= is_second;
    is_second
}
