//! What a response tells about limits, in whatever dialect.

use std::time::{Duration, SystemTime};

use crate::{
    ToldLimit, draft,
    fields::Fields,
    names::{
        AGE, DATE, RATELIMIT, RATELIMIT_LIMIT, RATELIMIT_POLICY, RATELIMIT_REMAINING,
        RATELIMIT_RESET, RETRY_AFTER, X_RATELIMIT_LIMIT, X_RATELIMIT_REMAINING, X_RATELIMIT_RESET,
    },
    numbers::first_rounded_up,
    structured::items,
    three_fields, waits,
};

/// What a response tells about limits.
///
/// It reads `Retry-After` in both forms, `X-RateLimit-*` with its reset as seconds or as a Unix time, and `RateLimit-*`
/// or `RateLimit` with `RateLimit-Policy` of all revisions of draft-ietf-httpapi-ratelimit-headers up to 11.
///
/// What is malformed is as if it were not there; nothing that a server sends is an error. The default is what a
/// response tells that says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    limits: Vec<ToldLimit>,
    retry_after: Option<Duration>,
}

impl RateLimits {
    /// Reads the fields of a response, in any order, names in any case.
    ///
    /// Where the server tells a point in time, it is compared with the server's clock in `Date`. Only if the response
    /// has none it is compared with `now`, the client's clock.
    ///
    /// A response that comes from a cache (`Age` is above 0) tells how things once were, maybe for somebody else. So it
    /// tells nothing.
    ///
    /// - Several lines of one field are one list in their order; of `Retry-After`, `Date` and `Age` the first counts.
    /// - In lists such as `X-RateLimit-Limit: 100, 100;w=60` the first number counts, and the window of one like it.
    /// - Seconds such as `59.5` are rounded up in `Retry-After` and in resets; all other fractions, negative numbers
    ///   and points in time as in ISO 8601 are malformed.
    /// - A reset from 1 000 000 000 on is a Unix time in seconds, from 10¹² on in milliseconds.
    /// - A wait is at most [`MAX_WAIT`](crate::MAX_WAIT), a field at most 16 KiB, a list at most 64 items long. Longer
    ///   fields are ignored, and so are further items.
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
        let older = [RATELIMIT_LIMIT, RATELIMIT_REMAINING, RATELIMIT_RESET];
        let customary = [X_RATELIMIT_LIMIT, X_RATELIMIT_REMAINING, X_RATELIMIT_RESET];
        let single = [
            fields.get(RATELIMIT).and_then(|text| draft::in_a_dictionary(text, &policies)),
            three_fields::read(&fields, older, &policies, now),
            three_fields::read(&fields, customary, &[], now),
        ];
        let mut limits = draft::in_two_lists(fields.get(RATELIMIT).unwrap_or_default(), &policies);
        limits.extend(single.into_iter().flatten());
        let retry_after = fields.get(RETRY_AFTER).and_then(|text| waits::retry_after(text, now));
        Self { limits, retry_after }
    }

    /// All limits that were told. A server that uses several dialects at once tells them in each.
    ///
    /// The first are those of `RateLimit` in their order, then those that are in `RateLimit-Policy` alone, and then
    /// those of older dialects, which have no names.
    #[must_use]
    pub fn limits(&self) -> &[ToldLimit] {
        &self.limits
    }

    /// What `Retry-After` told; zero for a date that is over.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// How long to wait before the next request, from the moment of the response on.
    ///
    /// - What `Retry-After` told, if it told something.
    /// - Else, if limits have nothing remaining, the longest of their resets; `None` if none of them tells one.
    /// - Else zero, if something remains of the limits that were told; `None` if the response told nothing.
    ///
    /// Zero is no promise: a request may cost more than what remains, and others may be faster. Who has just been
    /// refused should wait a little in any case.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        if self.retry_after.is_some() {
            return self.retry_after;
        }
        let told = || self.limits.iter().filter(|limit| limit.remaining.is_some());
        let exhausted = || told().filter(|limit| limit.remaining == Some(0));
        match (told().next(), exhausted().next()) {
            (_, Some(_)) => exhausted().filter_map(ToldLimit::reset_after).max(),
            (told, None) => told.map(|_| Duration::ZERO),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    /// What lines say, to a client whose clock is at 1 700 000 000.
    fn read(lines: &str) -> RateLimits {
        let fields = lines.lines().filter_map(|line| line.trim().split_once(':'));
        RateLimits::read(fields, UNIX_EPOCH + Duration::from_secs(1_700_000_000))
    }

    #[test]
    fn the_wait_is_until_the_next_request_has_a_chance() {
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
    fn the_clock_is_the_servers_if_it_tells_its_time() {
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
    fn a_cached_response_tells_nothing() {
        let told = "Retry-After: 7\nRateLimit: a;r=0;t=60";
        for age in ["1", "99999999999999999999", "0.5", "7, 0"] {
            assert_eq!(read(&format!("{told}\nAge: {age}")), RateLimits::default(), "{age}");
        }
        for age in ["0", "-1", "old", ""] {
            assert_eq!(read(&format!("{told}\nAge: {age}")), read(told), "{age}");
        }
    }

    #[test]
    fn several_dialects_tell_their_limits_in_each() {
        let limits = read(
            "X-RateLimit-Limit: 3
            RateLimit-Limit: 2
            RateLimit: a;r=1",
        );
        let told: Vec<_> =
            limits.limits().iter().map(|limit| (limit.policy(), limit.quota())).collect();
        assert_eq!(told, [(Some("a"), None), (None, Some(2)), (None, Some(3))]);
    }

    #[test]
    fn older_revisions_have_policies_too() {
        for standing in [
            "RateLimit: limit=100, remaining=99, reset=900",
            "RateLimit-Limit: 100\nRateLimit-Remaining: 99\nRateLimit-Reset: 900",
        ] {
            let told = read(&format!("RateLimit-Policy: 100;w=900\n{standing}"));
            let expected = ToldLimit {
                policy: None,
                quota: Some(100),
                window: Some(Duration::from_secs(900)),
                remaining: Some(99),
                reset_after: Some(Duration::from_secs(900)),
            };
            assert_eq!(told.limits(), [expected], "{standing}");
        }
    }

    #[test]
    fn headers_of_the_crate_http_are_read_as_they_are() {
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
