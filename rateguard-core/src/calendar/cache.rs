//! Caches the bounds of the current periods in each thread, because each check of a calendar quota needs them.

use std::cell::RefCell;

use super::{
    starts,
    usual_periods::{Starts, usual_starts_around},
};
use crate::CalendarPeriod;

/// The number of periods that a thread caches. Most applications have only a few calendar quotas.
const SLOTS: usize = 8;

thread_local! {
    static CACHE: RefCell<[Option<(CalendarPeriod, Starts)>; SLOTS]> = const { RefCell::new([None; SLOTS]) };
}

/// Returns the starts of the period before the period that contains the time `now`, of that period, and of the two
/// periods after it. `now` is in microseconds since 1970.
pub(crate) fn starts_around(period: CalendarPeriod, now: i64) -> Starts {
    CACHE.with_borrow_mut(|cache| {
        let slot = (usize::from(period.zone().index()) + period.unit() as usize) % SLOTS;
        match cache[slot] {
            Some((cached, starts)) if cached == period && starts[1] <= now && now < starts[2] => {
                starts
            }
            _ => {
                let starts = starts::starts_around(period, now)
                    .unwrap_or_else(|| usual_starts_around(period, now));
                cache[slot] = Some((period, starts));
                starts
            }
        }
    })
}
