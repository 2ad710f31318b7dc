//! Whether a server on its own admits no more than its share.

use std::collections::BTreeMap;

use super::{
    history::{Decided, Request},
    limits::{PAGES, SERVERS, number, quota},
};

/// The page whose limit is a log, and no more than that.
const PAGE: &str = "/log";

/// A request that was admitted in memory with others beyond the share of its server, if there is one, whenever exactly
/// each of them was decided on.
#[must_use]
pub fn beyond_the_share(requests: &[Request]) -> Option<&Request> {
    let quota = quota(number("log")?, 0)?;
    let share = (quota.limit() / SERVERS).max(1) as usize;
    let window = quota.window().as_micros() as u64;
    let mut clients: BTreeMap<&str, Vec<&Request>> = BTreeMap::new();
    for request in requests {
        let is_of_page = PAGES.get(request.page).is_some_and(|page| page.path == PAGE);
        if is_of_page && request.decided == Decided::Locally && request.status == 200 {
            clients.entry(&request.client).or_default().push(request);
        }
    }
    for admitted in clients.values_mut() {
        admitted.sort_by_key(|request| request.went);
        for together in admitted.windows(share + 1) {
            // All of them came after the first, and had their answers before the last.
            let first = together.iter().map(|request| request.came).min()?;
            let last = together.last()?;
            if last.went < first + window {
                return Some(last);
            }
        }
    }
    None
}
