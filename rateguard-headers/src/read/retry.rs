//! Parses waits (the values of `Retry-After`) and resets (the times at which a limit admits more units).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::numbers::first_rounded_up;

/// The maximum wait that this crate returns to a client: 366 days. Longer waits are reduced to this value.
///
/// A longer wait in a response is not useful: either the server never admits the request, or it uses another unit of
/// time, or its clock is wrong. Because of the maximum, a client can add a wait to the current time without overflow.
pub const MAX_WAIT: Duration = Duration::from_secs(366 * 86_400);

/// The smallest number in a reset that is read as a Unix time in seconds. As a wait, this number of seconds would be
/// 32 years. As a Unix time, it is a time in September 2001.
const MIN_UNIX_SECONDS: u64 = 1_000_000_000;

/// The smallest number in a reset that is read as a Unix time in milliseconds. In milliseconds, the number is a time
/// in September 2001. In seconds, it would be a time in the year 33658.
const MIN_UNIX_MILLIS: u64 = 1_000_000_000_000;

/// Returns a wait of this many seconds, but at most [`MAX_WAIT`].
pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds).min(MAX_WAIT)
}

/// Parses the value of `Retry-After`, which is a number of seconds or a date.
pub(crate) fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    first_rounded_up(text).map(seconds).or_else(|| until_date(text, now))
}

/// Parses a reset, which is a number of seconds, a Unix time in seconds or milliseconds, or a date.
pub(crate) fn reset(text: &str, now: SystemTime) -> Option<Duration> {
    let number = first_rounded_up(text).map(|number| match number {
        ..MIN_UNIX_SECONDS => seconds(number),
        MIN_UNIX_SECONDS..MIN_UNIX_MILLIS => until_unix(Duration::from_secs(number), now),
        _ => until_unix(Duration::from_millis(number), now),
    });
    number.or_else(|| until_date(text, now))
}

fn until_date(text: &str, now: SystemTime) -> Option<Duration> {
    Some(until(httpdate::parse_http_date(text).ok()?, now))
}

fn until_unix(time: Duration, now: SystemTime) -> Duration {
    UNIX_EPOCH.checked_add(time).map_or(MAX_WAIT, |time| until(time, now))
}

/// Returns the wait from `now` until `time`. The wait is zero if `time` is in the past.
fn until(time: SystemTime, now: SystemTime) -> Duration {
    time.duration_since(now).unwrap_or_default().min(MAX_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The Unix time of Sun, 06 Nov 1994 08:49:37 GMT, which is the date in the examples of RFC 9110.
    const DATE: u64 = 784_111_777;

    #[test]
    fn retry_after_accepts_seconds_and_dates() {
        let now = UNIX_EPOCH + Duration::from_secs(DATE - 30);
        for (text, expected) in [
            ("120", Some(120)),
            ("0", Some(0)),
            ("59.5", Some(60)),
            ("120, 120", Some(120)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(30)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(30)),
            ("Sun Nov  6 08:49:37 1994", Some(30)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(MAX_WAIT.as_secs())),
            ("1700000000", Some(MAX_WAIT.as_secs())),
            ("99999999999999999999", Some(MAX_WAIT.as_secs())),
            ("Sat, 06 Nov 1994 08:49:37 GMT", None),
            ("06 Nov 1994 08:49:37 GMT", None),
            ("1994-11-06T08:49:37Z", None),
            ("-5", None),
            ("soon", None),
            ("", None),
        ] {
            let expected = expected.map(Duration::from_secs);
            assert_eq!(retry_after(text, now), expected, "{text:?}");
        }
    }

    #[test]
    fn reset_accepts_seconds_unix_times_and_dates() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for (text, millis) in [
            ("60", Some(60_000)),
            ("59.5", Some(60_000)),
            ("1700000060", Some(60_000)),
            // Discord sends a Unix time with a fraction of a second.
            ("1700000059.123", Some(60_000)),
            ("1700000060500", Some(60_500)),
            ("1699999999", Some(0)),
            ("1699999999999", Some(0)),
            ("Tue, 14 Nov 2023 22:14:20 GMT", Some(60_000)),
            ("1000000000", Some(0)),
            ("999999999", Some(MAX_WAIT.as_millis())),
            ("9999999999", Some(MAX_WAIT.as_millis())),
            ("99999999999999999999", Some(MAX_WAIT.as_millis())),
            // Atlassian sends an ISO 8601 time.
            ("2023-11-14T22:14Z", None),
            ("-60", None),
        ] {
            let expected = millis.map(|millis| Duration::from_millis(millis.try_into().unwrap()));
            assert_eq!(reset(text, now), expected, "{text:?}");
        }
    }
}
