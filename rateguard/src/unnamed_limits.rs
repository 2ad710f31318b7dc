//! Detects limits without a name in two guards that count in the same place. Such limits share their counts, because they
//! have the same default name.

use std::{
    panic::Location,
    sync::{Mutex, PoisonError, Weak},
    thread::{self, ThreadId},
};

use actix_rateguard_core::store::Keyspace;

use crate::{RateGuard, inventory::MiddlewareRegistry};

/// The limits without a name of all guards on Redis or Upstash.
static LIMITS: Mutex<Vec<UnnamedLimit>> = Mutex::new(Vec::new());

struct UnnamedLimit {
    name: String,
    location: &'static Location<'static>,
    keyspace: Keyspace,
    guard: u64,
    /// The thread that started the middleware of the limit.
    thread: ThreadId,
    /// Can be upgraded as long as the guard exists.
    is_in_use: Weak<MiddlewareRegistry>,
    has_warned: bool,
}

/// Records a limit that has only a default name. If another guard has such a limit with the same name and counts in the
/// same place, logs one warning.
pub(crate) fn record(guard: &RateGuard, name: &str, location: &'static Location<'static>) {
    let Some(keyspace) = guard.keyspace() else { return };
    let thread = thread::current().id();
    // Code under this lock cannot leave the list in an inconsistent state, so it is safe to use a poisoned lock.
    let mut limits = LIMITS.lock().unwrap_or_else(PoisonError::into_inner);
    limits.retain(|limit| limit.is_in_use.strong_count() > 0);
    let earlier = limits.iter_mut().find(|limit| limit.name == name && limit.keyspace == *keyspace);
    match earlier {
        None => limits.push(UnnamedLimit {
            name: name.to_owned(),
            location,
            keyspace: keyspace.clone(),
            guard: guard.id(),
            thread,
            is_in_use: guard.middlewares_in_use(),
            has_warned: false,
        }),
        Some(earlier) if earlier.guard != guard.id() && !earlier.has_warned => {
            // If each worker builds a guard of its own, the limits of all workers should share their counts, and the log
            // already has a warning about the guards.
            if earlier.location == location && earlier.thread != thread {
                return;
            }
            earlier.has_warned = true;
            let Keyspace { server, prefix, .. } = keyspace;
            let other = earlier.location;
            log::warn!(
                target: "rateguard",
                "two guards of this process count in {server} with the prefix `{prefix}`, and their limits at {other} and {location} have no name, so these limits share their counts as `{name}`. Give each limit a name, or use one guard for both"
            );
        }
        Some(_) => {}
    }
}
