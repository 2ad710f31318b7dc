//! Parses the times of access logs: `10/Oct/2000:13:55:36 -0700`, RFC 3339, and seconds or milliseconds since 1970.

use jiff::Timestamp;

const MICROS_PER_SECOND: i64 = 1_000_000;

/// 2000-01-01T00:00:00Z in microseconds since 1970. An earlier number is rather a duration than the time of a request.
const FIRST_UNIX_MICROS: u64 = 946_684_800_000_000;

/// Returns the time in microseconds since 1970. `None` if the text is not a time, or a time before 1970.
pub(super) fn parse_time(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    let text = text.strip_prefix(b"[").and_then(|it| it.strip_suffix(b"]")).unwrap_or(text);
    parse_clf(text).or_else(|| parse_unix(text)).or_else(|| parse_rfc3339(text))
}

/// Parses the time of the common log format, such as `10/Oct/2000:13:55:36 -0700`.
pub(super) fn parse_clf(text: &[u8]) -> Option<u64> {
    let text: &[u8; 26] = text.try_into().ok()?;
    let [
        d0,
        d1,
        b'/',
        m0,
        m1,
        m2,
        b'/',
        y0,
        y1,
        y2,
        y3,
        b':',
        h0,
        h1,
        b':',
        n0,
        n1,
        b':',
        s0,
        s1,
        b' ',
        sign,
        o0,
        o1,
        o2,
        o3,
    ] = *text
    else {
        return None;
    };
    let month = match [m0, m1, m2].map(|it| it.to_ascii_lowercase()) {
        [b'j', b'a', b'n'] => 1,
        [b'f', b'e', b'b'] => 2,
        [b'm', b'a', b'r'] => 3,
        [b'a', b'p', b'r'] => 4,
        [b'm', b'a', b'y'] => 5,
        [b'j', b'u', b'n'] => 6,
        [b'j', b'u', b'l'] => 7,
        [b'a', b'u', b'g'] => 8,
        [b's', b'e', b'p'] => 9,
        [b'o', b'c', b't'] => 10,
        [b'n', b'o', b'v'] => 11,
        [b'd', b'e', b'c'] => 12,
        _ => return None,
    };
    let (day, year) = (number(&[d0, d1])?, number(&[y0, y1, y2, y3])?);
    let (hour, minute, second) = (number(&[h0, h1])?, number(&[n0, n1])?, number(&[s0, s1])?);
    let (offset_hours, offset_minutes) = (number(&[o0, o1])?, number(&[o2, o3])?);
    // A leap second has the number 60.
    if !(1..=days_in(year, month)).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
        || offset_minutes > 59
    {
        return None;
    }
    let offset = (offset_hours * 60 + offset_minutes) * 60;
    let offset = match sign {
        b'+' => offset,
        b'-' => -offset,
        _ => return None,
    };
    let seconds = days_since_1970(year, month, day) * 86_400 + (hour * 60 + minute) * 60 + second;
    u64::try_from((seconds - offset) * MICROS_PER_SECOND).ok()
}

/// Parses a number of seconds since 1970, such as `1714564800.123`, or a whole number of milliseconds, microseconds or
/// nanoseconds. The size of the number tells its unit: a number of seconds has at most 11 digits. `None` before 2000.
fn parse_unix(text: &[u8]) -> Option<u64> {
    let point = text.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = match point {
        Some(point) => (text.get(..point)?, text.get(point + 1..)?),
        None => (text, &b""[..]),
    };
    let is_number = |digits: &[u8]| digits.iter().all(u8::is_ascii_digit);
    if whole.is_empty() || whole.len() > 19 || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let value = whole.iter().fold(0_u64, |value, digit| value * 10 + u64::from(digit - b'0'));
    let micros_per_unit = match value {
        0..100_000_000_000 => 1_000_000,
        100_000_000_000..100_000_000_000_000 => 1_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1,
        _ => return Some(value / 1_000).filter(|it| *it >= FIRST_UNIX_MICROS),
    };
    let mut scale = micros_per_unit;
    let fraction = fraction.iter().fold(0, |sum, digit| {
        scale /= 10;
        sum + u64::from(digit - b'0') * scale
    });
    Some(value * micros_per_unit + fraction).filter(|it| *it >= FIRST_UNIX_MICROS)
}

fn parse_rfc3339(text: &[u8]) -> Option<u64> {
    let time: Timestamp = str::from_utf8(text).ok()?.parse().ok()?;
    u64::try_from(time.as_microsecond()).ok()
}

/// Parses a duration in seconds, such as `0.125`, into microseconds. `unit` is the number of nanoseconds in a unit of
/// the text.
pub(super) fn parse_duration(text: &[u8], unit: f64) -> Option<u64> {
    let value: f64 = str::from_utf8(text.trim_ascii()).ok()?.parse().ok()?;
    // A request of more than a year is a wrong number.
    let micros = value * unit / 1_000.0;
    (0.0..=31_536_000e6).contains(&micros).then_some(micros.round() as u64)
}

fn number(digits: &[u8]) -> Option<i64> {
    let is_number = digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
}

fn days_in(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Returns the number of days from 1970-01-01 to this date of the Gregorian calendar.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    const DAYS_BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leap_days = |year: i64| year / 4 - year / 100 + year / 400;
    let index = usize::try_from(month - 1).unwrap_or(0);
    let before = DAYS_BEFORE.get(index).copied().unwrap_or(0);
    let leap_day = i64::from(month > 2 && days_in(year, 2) == 29);
    (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969) + before + leap_day + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<f64> {
        parse_time(text.as_bytes()).map(|micros| micros as f64 / 1e6)
    }

    #[test]
    fn every_notation_of_a_time_is_parsed() {
        for (text, expected) in [
            ("10/Oct/2000:13:55:36 -0700", 971_211_336.0),
            ("[10/Oct/2000:13:55:36 -0700]", 971_211_336.0),
            ("01/Jan/1970:00:00:00 +0000", 0.0),
            ("29/Feb/2024:23:59:59 +0530", 1_709_231_399.0),
            ("01/Jul/1995:00:00:01 -0400", 804_571_201.0),
            ("2024-05-01T12:00:00Z", 1_714_564_800.0),
            ("2024-05-01T14:00:00.250+02:00", 1_714_564_800.25),
            ("2024-05-01 12:00:00Z", 1_714_564_800.0),
            ("1714564800", 1_714_564_800.0),
            ("1714564800.123", 1_714_564_800.123),
            ("1714564800123", 1_714_564_800.123),
            ("1714564800123456", 1_714_564_800.123_456),
            ("1714564800123456789", 1_714_564_800.123_456),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn invalid_times_are_rejected() {
        for text in [
            "",
            "-",
            "10/Oct/2000:13:55:36",
            "32/Oct/2000:13:55:36 -0700",
            "30/Feb/2024:00:00:00 +0000",
            "10/Okt/2000:13:55:36 -0700",
            "10/Oct/2000:24:55:36 -0700",
            "31/Dec/1969:23:59:59 +0000",
            "2024-05-01T12:00:00",
            "2024-13-01T12:00:00Z",
            "1e9",
            "12.x",
            "12",
            "946684799",
            "946684799999",
            "100000000000000000",
            "99999999999999999999999",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn days_agree_with_the_calendar_library() {
        let start = jiff::civil::date(1970, 1, 1);
        for day in (0..80_000).step_by(7) {
            let date = start.checked_add(jiff::Span::new().days(day)).unwrap();
            let of = |value: i8| i64::from(value);
            let days = days_since_1970(date.year().into(), of(date.month()), of(date.day()));
            assert_eq!(days, day, "{date}");
        }
    }
}
