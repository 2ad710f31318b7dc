//! Reads the limits of a response in any dialect, which is a set of header fields that report limits.

use std::time::{Duration, SystemTime};

use super::{
    ParsedLimit, draft,
    fields::Fields,
    names::{AGE, DATE},
    numbers::first_rounded_up,
    retry,
    structured::items,
    x_ratelimit,
};
use crate::names::{
    RATELIMIT, RATELIMIT_LIMIT, RATELIMIT_POLICY, RATELIMIT_REMAINING, RATELIMIT_RESET,
    RETRY_AFTER, X_RATELIMIT_LIMIT, X_RATELIMIT_REMAINING, X_RATELIMIT_RESET,
};

/// The limits that a client reads from a response.
///
/// The parser supports these fields:
///
/// - `Retry-After` in seconds or as a date
/// - `X-RateLimit-*` with a reset in seconds or as a Unix time
/// - the fields of all revisions of draft-ietf-httpapi-ratelimit-headers up to 11: `RateLimit-*`, or `RateLimit` with
///   `RateLimit-Policy`
///
/// Revision 11 has expired, and is not a standard. A proposed change of the draft renames two parameters of
/// `RateLimit`: `r` becomes `a`, and `t` becomes `w`. The parser also accepts these new names, but reads `w` only in an
/// item that has `a`.
///
/// The parser ignores malformed fields and returns no errors. `RateLimits::default()` is the result for a response
/// without rate limit fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    limits: Vec<ParsedLimit>,
    retry_after: Option<Duration>,
}

impl RateLimits {
    /// Reads the limits from the fields of a response. The result does not depend on the order of the fields or on
    /// the case of their names.
    ///
    /// `now` is the time of the client's clock. If a field contains a point in time, such as a Unix time, the wait is
    /// the time from the server's time in `Date` to this point. If the response has no `Date`, the wait is the time
    /// from `now` to this point.
    ///
    /// If the response comes from a cache (`Age` above 0), the result is empty, because the fields are outdated and can
    /// describe the limits of another client.
    ///
    /// - Several lines of a field are joined to one list. If `Retry-After`, `Date` or `Age` has several lines, the
    ///   first line applies.
    /// - In a list such as `X-RateLimit-Limit: 100, 100;w=60`, the first number is the quota (100). The window comes
    ///   from the first item that has the same number and a window (60 seconds).
    /// - Decimal fractions such as `59.5` are rounded up in `Retry-After` and in resets, and are malformed in all
    ///   other numbers. Negative numbers and ISO 8601 times are always malformed. Malformed values are ignored.
    /// - A reset below 10⁹ is a number of seconds from now. A reset from 10⁹ is a Unix time in seconds, and a reset
    ///   from 10¹² is a Unix time in milliseconds.
    /// - A wait that is longer than [`MAX_WAIT`](crate::MAX_WAIT) is reduced to this value. Fields longer than 16 KiB
    ///   are ignored. In a list, only the first 64 items are read.
    pub fn read<N, V>(fields: impl IntoIterator<Item = (N, V)>, now: SystemTime) -> Self
    where
        N: AsRef<str>,
        V: AsRef<[u8]>,
    {
        let fields = Fields::find(fields);
        if fields.get(AGE).and_then(first_rounded_up).is_some_and(|age| age > 0) {
            return Self::default();
        }
        let date = fields.get(DATE).and_then(|date| httpdate::parse_http_date(date).ok());
        let now = date.unwrap_or(now);

        let policies = fields.get(RATELIMIT_POLICY).map(items).unwrap_or_default();
        let draft_names = [RATELIMIT_LIMIT, RATELIMIT_REMAINING, RATELIMIT_RESET];
        let x_names = [X_RATELIMIT_LIMIT, X_RATELIMIT_REMAINING, X_RATELIMIT_RESET];
        let single = [
            fields.get(RATELIMIT).and_then(|text| draft::parse_rev07(text, &policies)),
            x_ratelimit::read(&fields, draft_names, &policies, now),
            x_ratelimit::read(&fields, x_names, &[], now),
        ];
        let mut limits = draft::parse_lists(fields.get(RATELIMIT).unwrap_or_default(), &policies);
        limits.extend(single.into_iter().flatten());
        let retry_after = fields.get(RETRY_AFTER).and_then(|text| retry::retry_after(text, now));
        Self { limits, retry_after }
    }

    /// Returns all limits of the response. If a server uses several dialects, the slice contains the limits of
    /// every dialect.
    ///
    /// The limits in `RateLimit` come first, in the order of that field. After them come the limits that are only
    /// in `RateLimit-Policy`, and then the limits in dialects without names.
    #[must_use]
    pub fn limits(&self) -> &[ParsedLimit] {
        &self.limits
    }

    /// Returns the wait in `Retry-After`. The wait is zero if the field contains a date in the past. The result is
    /// `None` if the response has no valid `Retry-After`.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Returns how long a client should wait after the response before it sends the next request. The first rule that
    /// applies determines the result:
    ///
    /// - If the response has a valid `Retry-After`, the result is the wait in this field.
    /// - If at least one limit has no remaining units, the result is the longest time until a reset of these
    ///   limits. If none of them has a reset, the result is `None`.
    /// - If at least one limit reports its remaining units, the result is zero.
    /// - If no rule above applies, the result is `None`.
    ///
    /// A result of zero does not guarantee that the server admits the next request: the request can cost more than the
    /// remaining units, or other clients can take the units first. So after a rejection, a client should wait for a
    /// short time even if the result is zero.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        if self.retry_after.is_some() {
            return self.retry_after;
        }
        let with_remaining = || self.limits.iter().filter(|limit| limit.remaining.is_some());
        let exhausted = || with_remaining().filter(|limit| limit.remaining == Some(0));
        match (with_remaining().next(), exhausted().next()) {
            (_, Some(_)) => exhausted().filter_map(ParsedLimit::reset_after).max(),
            (limit, None) => limit.map(|_| Duration::ZERO),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::QuotaUnit;

    /// Reads these field lines. The client's clock is at the Unix time 1,700,000,000.
    fn read(lines: &str) -> RateLimits {
        let fields = lines.lines().filter_map(|line| line.trim().split_once(':'));
        RateLimits::read(fields, UNIX_EPOCH + Duration::from_secs(1_700_000_000))
    }

    #[test]
    fn wait_prefers_retry_after_and_then_the_longest_exhausted_reset() {
        for (lines, wait) in [
            ("", None),
            ("Retry-After: 7", Some(7)),
            ("Retry-After: 7\nRateLimit: a;r=0;t=60", Some(7)),
            ("Retry-After: 0\nRateLimit: a;r=0;t=60", Some(0)),
            ("Retry-After: soon\nRateLimit: a;r=0;t=60", Some(60)),
            ("RateLimit: a;r=5;t=60", Some(0)),
            ("RateLimit: a;r=5;t=60, b;r=0;t=3, c;r=0;t=4, d;r=0", Some(4)),
            ("RateLimit: a;r=5;t=60, b;r=0", None),
            ("RateLimit: a;r=0;t=3\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 9", Some(9)),
            ("RateLimit: a;r=0;t=3\nX-RateLimit-Remaining: 1\nX-RateLimit-Reset: 9", Some(3)),
            ("RateLimit-Policy: a;q=5;w=60", None),
            ("X-RateLimit-Reset: 60", None),
            ("RateLimit: a;r=0;t=999999999999999", Some(366 * 86_400)),
        ] {
            assert_eq!(read(lines).wait(), wait.map(Duration::from_secs), "{lines}");
        }
    }

    #[test]
    fn date_field_replaces_the_clients_clock() {
        let reset = "X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 1700000060";
        assert_eq!(read(reset).wait(), Some(Duration::from_secs(60)));
        let dated = format!("{reset}\nDate: Tue, 14 Nov 2023 22:14:00 GMT");
        assert_eq!(read(&dated).wait(), Some(Duration::from_secs(20)));
        let misdated = format!("{reset}\nDate: now");
        assert_eq!(read(&misdated).wait(), Some(Duration::from_secs(60)));

        let date = "Retry-After: Sun, 06 Nov 1994 08:50:00 GMT";
        assert_eq!(read(date).wait(), Some(Duration::ZERO));
        let dated = format!("{date}\nDate: Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(read(&dated).wait(), Some(Duration::from_secs(23)));
    }

    #[test]
    fn cached_response_has_no_limits() {
        let lines = "Retry-After: 7\nRateLimit: a;r=0;t=60";
        for age in ["1", "99999999999999999999", "0.5", "7, 0"] {
            assert_eq!(read(&format!("{lines}\nAge: {age}")), RateLimits::default(), "{age}");
        }
        for age in ["0", "-1", "old", ""] {
            assert_eq!(read(&format!("{lines}\nAge: {age}")), read(lines), "{age}");
        }
    }

    #[test]
    fn limits_of_all_dialects_are_listed_in_order() {
        let limits = read(
            "X-RateLimit-Limit: 3
            RateLimit-Limit: 2
            RateLimit: a;r=1",
        );
        let limits: Vec<_> =
            limits.limits().iter().map(|limit| (limit.policy(), limit.quota())).collect();
        assert_eq!(limits, [(Some("a"), None), (None, Some(2)), (None, Some(3))]);
    }

    #[test]
    fn policies_of_older_revisions_are_read() {
        for status in [
            "RateLimit: limit=100, remaining=99, reset=900",
            "RateLimit-Limit: 100\nRateLimit-Remaining: 99\nRateLimit-Reset: 900",
        ] {
            let limits = read(&format!("RateLimit-Policy: 100;w=900\n{status}"));
            let expected = ParsedLimit {
                policy: None,
                quota: Some(100),
                unit: QuotaUnit::Requests,
                window: Some(Duration::from_secs(900)),
                remaining: Some(99),
                reset_after: Some(Duration::from_secs(900)),
            };
            assert_eq!(limits.limits(), [expected], "{status}");
        }
    }

    #[test]
    fn header_map_of_the_http_crate_is_accepted() {
        let mut headers = http::HeaderMap::new();
        headers.append("RateLimit", http::HeaderValue::from_static("a;r=1"));
        headers.append("RateLimit", http::HeaderValue::from_static("b;r=0;t=5"));
        for limits in [
            RateLimits::read(&headers, SystemTime::now()),
            RateLimits::read(headers.iter(), SystemTime::now()),
        ] {
            assert_eq!(limits.wait(), Some(Duration::from_secs(5)));
        }
    }
}
