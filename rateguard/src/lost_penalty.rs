//! Warns if a handler adds a penalty, but no limit applies to its route.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use actix_rateguard_grammar::escape_for_display;

/// The maximum number of routes for which a warning is logged. The method of a request comes from the client, so the
/// number of texts has no other bound.
const MAX_ROUTES: usize = 1_000;

/// The routes for which a warning has been logged.
static ROUTES: Mutex<Option<HashSet<String>>> = Mutex::new(None);

/// Logs a warning at the first call for this route.
pub(crate) fn warn(route: &str, units: u32) {
    // Code under this lock cannot leave the set in an inconsistent state, so it is safe to use a poisoned lock.
    let mut routes = ROUTES.lock().unwrap_or_else(PoisonError::into_inner);
    let routes = routes.get_or_insert_default();
    if routes.len() < MAX_ROUTES && routes.insert(route.to_owned()) {
        let route = escape_for_display(route);
        log::warn!(
            target: "rateguard",
            "a penalty of {units} units had no effect, because no limit has checked the request. Add `#[rate_limit]` to the handler of the route `{route}`, or wrap the route in a `RateLimit`"
        );
    }
}
