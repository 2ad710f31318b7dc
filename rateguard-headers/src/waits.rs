//! How long a client has to wait, out of the many ways to say so.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::numbers::first_rounded_up;

/// The longest wait that is read: 366 days. What is above is taken for this.
///
/// A server that tells more means "never", or its units or its clock are wrong. As it is, a client can add it to the
/// time of day.
pub const MAX_WAIT: Duration = Duration::from_secs(366 * 86_400);

/// From here on, a number of seconds is a Unix time: 32 years, or September 2001.
const FIRST_UNIX_SECONDS: u64 = 1_000_000_000;

/// From here on, it is a Unix time in milliseconds: September 2001 again, or the year 33658 in seconds.
const FIRST_UNIX_MILLIS: u64 = 1_000_000_000_000;

/// So many seconds.
pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds).min(MAX_WAIT)
}

/// The value of `Retry-After`: seconds, or a date.
pub(crate) fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    first_rounded_up(text).map(seconds).or_else(|| until_date(text, now))
}

/// The value of a field that tells when quota comes back: seconds, a Unix time in seconds or milliseconds, or a date.
pub(crate) fn reset(text: &str, now: SystemTime) -> Option<Duration> {
    let number = first_rounded_up(text).map(|number| match number {
        ..FIRST_UNIX_SECONDS => seconds(number),
        FIRST_UNIX_SECONDS..FIRST_UNIX_MILLIS => until_unix(Duration::from_secs(number), now),
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

/// Zero if the time is over.
fn until(time: SystemTime, now: SystemTime) -> Duration {
    time.duration_since(now).unwrap_or_default().min(MAX_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT, the date of all examples in RFC 9110.
    const DATE: u64 = 784_111_777;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
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
    fn a_reset_is_seconds_or_a_unix_time_or_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for (text, millis) in [
            ("60", Some(60_000)),
            ("59.5", Some(60_000)),
            ("1700000060", Some(60_000)),
            // Discord's.
            ("1700000059.123", Some(60_000)),
            ("1700000060500", Some(60_500)),
            ("1699999999", Some(0)),
            ("1699999999999", Some(0)),
            ("Tue, 14 Nov 2023 22:14:20 GMT", Some(60_000)),
            ("1000000000", Some(0)),
            ("999999999", Some(MAX_WAIT.as_millis())),
            ("9999999999", Some(MAX_WAIT.as_millis())),
            ("99999999999999999999", Some(MAX_WAIT.as_millis())),
            // Atlassian's.
            ("2023-11-14T22:14Z", None),
            ("-60", None),
        ] {
            let expected = millis.map(|millis| Duration::from_millis(millis.try_into().unwrap()));
            assert_eq!(reset(text, now), expected, "{text:?}");
        }
    }
}
