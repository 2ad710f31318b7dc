//! Writes the header fields that report a decision to the client.

use std::{
    cell::OnceCell,
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use actix_rateguard_core::adapter::current_window;
use actix_rateguard_headers::{
    DialectInput, FieldValue, Limit, MAX_REPORTED_TIME, RATELIMIT, RATELIMIT_LIMIT,
    RATELIMIT_POLICY, RATELIMIT_REMAINING, RATELIMIT_RESET, RETRY_AFTER, X_RATELIMIT_LIMIT,
    X_RATELIMIT_REMAINING, X_RATELIMIT_RESET, retry_after_seconds,
};
use actix_web::{
    HttpMessage, HttpRequest,
    http::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue},
};

use crate::{Decision, Quota, settings::HttpSettings};

/// Writes the header fields that report a decision. If the response already has a field of the same name, replaces
/// its value. `retry_jitter` is the number of seconds that the function adds to `Retry-After`. `None` if the response gets no
/// `Retry-After`.
pub(crate) fn write_decision(
    decision: &Decision,
    settings: &HttpSettings,
    retry_jitter: Option<u64>,
    headers: &mut HeaderMap,
) {
    let input = ReportedDecision { decision, names: OnceCell::new() };
    for (field, value) in settings.headers.iter().flat_map(|dialect| dialect.fields(&input)) {
        let value = match value {
            FieldValue::Number(value) => Ok(number(value)),
            FieldValue::Text(value) => HeaderValue::try_from(value),
        };
        // The value contains only printable ASCII characters, so the conversion into a `HeaderValue` never fails.
        if let Ok(value) = value {
            headers.insert(name(field), value);
        }
    }
    if let Some((retry_after, jitter)) = decision.retry_after().zip(retry_jitter) {
        write_retry_after(retry_after, jitter, headers);
    }
}

/// The values of a decision from which a header dialect creates header fields. A dialect is a format of these
/// fields.
struct ReportedDecision<'a> {
    decision: &'a Decision,
    /// The public names of the limits. They are computed when a dialect first reads them, because only some
    /// dialects report names.
    names: OnceCell<Vec<String>>,
}

impl DialectInput for ReportedDecision<'_> {
    fn limit(&self) -> u64 {
        self.decision.limit().into()
    }

    fn remaining(&self) -> u64 {
        self.decision.remaining().into()
    }

    fn reset_after(&self) -> Option<Duration> {
        let decision = self.decision;
        let is_known =
            decision.banned_for().is_some() || !decision.quota().algorithm().has_permits();
        is_known.then(|| decision.reset_after())
    }

    fn limits(&self) -> impl Iterator<Item = Limit<'_>> {
        let names = self.names.get_or_init(|| self.decision.public_names());
        self.decision.statuses().iter().zip(names).map(|(status, policy)| Limit {
            policy,
            remaining: status.remaining().into(),
            reset_after: status.reset_after(),
            ..reported_quota(status.quota())
        })
    }

    /// Returns the limits that the header fields report. If the key is banned, the function returns only the limit
    /// that banned the key. If the request is denied without a ban, it returns only the limits that denied the
    /// request. Any other limit may reset later than the time in `Retry-After`, which would confuse the client.
    fn reported_limits(&self) -> impl Iterator<Item = Limit<'_>> {
        let (decision, ban) = (self.decision, self.decision.banned_for());
        let with_status = self.limits().zip(decision.statuses()).enumerate();
        with_status.filter_map(move |(index, (limit, status))| match ban {
            Some(ban) => (index == decision.tightest_index()).then_some(Limit {
                remaining: 0,
                reset_after: ban,
                is_concurrent: false,
                ..limit
            }),
            None => (decision.is_allowed() || status.retry_after() != Some(Duration::ZERO))
                .then_some(limit),
        })
    }
}

/// Returns the quota and the window that the header fields report. For a token bucket, the reported quota is the
/// burst, and the reported window is the time in which an empty bucket becomes full. For a calendar period, the
/// reported window is the duration of the current period.
fn reported_quota(quota: Quota) -> Limit<'static> {
    let window = if quota.algorithm().has_burst() {
        let micros = quota.window().as_micros() * u128::from(quota.capacity());
        let micros = micros.div_ceil(u128::from(quota.limit()));
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    } else {
        current_window(quota)
    };
    let none = Duration::ZERO;
    Limit {
        policy: "",
        quota: quota.capacity().into(),
        window,
        remaining: 0,
        reset_after: none,
        is_concurrent: quota.algorithm().has_permits(),
    }
}

/// Writes `Retry-After`. The value is the wait in seconds, rounded up, plus the jitter in seconds.
pub(crate) fn write_retry_after(after: Duration, jitter: u64, headers: &mut HeaderMap) {
    let seconds = retry_after_seconds(after.min(MAX_REPORTED_TIME)).saturating_add(jitter);
    headers.insert(name(RETRY_AFTER), number(seconds));
}

/// Returns the jitter for `Retry-After`, which is a random delay in seconds. The jitter is chosen only once for
/// each request, so that an outer limit writes the same value as an inner limit.
pub(crate) fn jitter(settings: &HttpSettings, request: &HttpRequest) -> u64 {
    #[derive(Clone, Copy)]
    struct Drawn(u64);

    let mut extensions = request.extensions_mut();
    if let Some(Drawn(seconds)) = extensions.get() {
        return *seconds;
    }
    let seconds = match settings.retry_jitter.as_secs() {
        0 => return 0,
        // Each new hasher has a random seed, so its hash is a random number.
        max => RandomState::new().hash_one(max) % max.saturating_add(1),
    };
    extensions.insert(Drawn(seconds));
    seconds
}

/// Writes `Cache-Control: no-store`, unless the response already has this value. A rejection applies to one client
/// at one time, so a cache must not store it. For status 429, RFC 6585 requires this in section 4.
pub(crate) fn write_no_store(headers: &mut HeaderMap) {
    let is_no_store = |value: &HeaderValue| {
        value.to_str().is_ok_and(|value| value.to_ascii_lowercase().contains("no-store"))
    };
    if !headers.get_all(CACHE_CONTROL).any(is_no_store) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Formats a number with one allocation. The function `HeaderValue::from` needs two allocations for a number.
fn number(number: u64) -> HeaderValue {
    let mut digits = itoa::Buffer::new();
    HeaderValue::from_str(digits.format(number)).unwrap_or_else(|_| number.into())
}

/// Returns the name of a header field. The known names are constants, because the conversion of a text takes longer than
/// all other steps of writing a field.
fn name(name: &'static str) -> HeaderName {
    macro_rules! known_names {
        ($($known:ident),*) => {
            match name {
                $($known => {
                    const NAME: HeaderName = HeaderName::from_static($known);
                    NAME
                })*
                other => HeaderName::from_static(other),
            }
        };
    }
    known_names!(
        X_RATELIMIT_LIMIT,
        X_RATELIMIT_REMAINING,
        X_RATELIMIT_RESET,
        RATELIMIT,
        RATELIMIT_POLICY,
        RATELIMIT_LIMIT,
        RATELIMIT_REMAINING,
        RATELIMIT_RESET,
        RETRY_AFTER
    )
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use actix_rateguard_headers::{HeaderDialect, unix_ceil_secs};

    use super::*;
    use crate::{Policy, store::BucketStatus};

    /// A policy's name, its quota, the requested cost, and the status of the quota's bucket.
    type Status = (&'static str, Quota, u32, BucketStatus);

    fn status(policy: &'static str, quota: &str, cost: u32, bucket: BucketStatus) -> Status {
        (policy, quota.parse().unwrap(), cost, bucket)
    }

    fn bucket(remaining: u32, reset: Duration, retry_after: Option<Duration>) -> BucketStatus {
        BucketStatus { remaining, reset_after: reset, retry_after }
    }

    fn written(decision: &Decision, dialects: &[HeaderDialect], name: &str) -> Option<String> {
        let settings = HttpSettings { headers: dialects.to_vec(), ..HttpSettings::default() };
        let mut headers = HeaderMap::new();
        write_decision(decision, &settings, Some(0), &mut headers);
        headers.get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    fn decision<const N: usize>(allowed: bool, statuses: [Status; N]) -> Decision {
        actix_rateguard_core::test_util::decision(allowed, statuses)
    }

    const FIELDS: [&str; 4] =
        [X_RATELIMIT_LIMIT, X_RATELIMIT_REMAINING, X_RATELIMIT_RESET, RETRY_AFTER];

    #[test]
    fn seconds_are_rounded_up() {
        for (micros, seconds) in [(1, "1"), (1_000_000, "1"), (1_000_001, "2"), (60_000_000, "60")]
        {
            let after = Duration::from_micros(micros);
            let denied =
                decision(false, [status("p", "5/minute", 1, bucket(0, after, Some(after)))]);
            for name in [X_RATELIMIT_RESET, RETRY_AFTER] {
                let value = written(&denied, &[HeaderDialect::XRateLimit], name);
                assert_eq!(value.as_deref(), Some(seconds));
            }
        }
    }

    #[test]
    fn admitted_and_too_costly_requests_have_no_retry_after() {
        for (allowed, retry_after) in [(true, Some(Duration::ZERO)), (false, None)] {
            let bucket = bucket(3, Duration::from_millis(2_500), retry_after);
            let decision = decision(allowed, [status("p", "5/minute", 1, bucket)]);
            let values = FIELDS.map(|name| written(&decision, &[HeaderDialect::XRateLimit], name));
            assert_eq!(
                values,
                [Some("5"), Some("3"), Some("3"), None].map(|it| it.map(str::to_owned))
            );
        }
    }

    #[test]
    fn draft_reports_all_limits_or_those_that_denied() {
        let [second, day] = [Duration::from_secs(1), Duration::from_secs(86_400)];
        let draft = [HeaderDialect::Draft];
        let daily = || status("daily", "1000/day", 1, bucket(400, day, Some(Duration::ZERO)));
        let burst = |remaining, wait| {
            status(
                "burst",
                "100/second token_bucket burst 20",
                1,
                bucket(remaining, second, Some(wait)),
            )
        };
        let policies = r#""burst";q=20;w=1, "daily";q=1000;w=86400"#;

        let allowed = decision(true, [burst(7, Duration::ZERO), daily()]);
        assert_eq!(written(&allowed, &draft, RATELIMIT_POLICY).as_deref(), Some(policies));
        let both = r#""burst";r=7;t=1, "daily";r=400;t=86400"#;
        assert_eq!(written(&allowed, &draft, RATELIMIT).as_deref(), Some(both));
        assert_eq!(written(&allowed, &draft, X_RATELIMIT_LIMIT), None);

        let denied = decision(false, [burst(0, second), daily()]);
        assert_eq!(written(&denied, &draft, RATELIMIT_POLICY).as_deref(), Some(policies));
        assert_eq!(written(&denied, &draft, RATELIMIT).as_deref(), Some(r#""burst";r=0;t=1"#));

        let policy = Policy::new("daily", "1000/day").unwrap();
        let banned =
            decision(false, [burst(7, Duration::ZERO), daily()]).banned(&policy, 90 * second);
        assert_eq!(written(&banned, &draft, RATELIMIT).as_deref(), Some(r#""daily";r=0;t=90"#));
        assert_eq!(written(&banned, &draft, RETRY_AFTER).as_deref(), Some("90"));
    }

    #[test]
    fn epoch_dialect_reports_the_reset_as_unix_time() {
        let bucket = bucket(3, Duration::from_secs(60), Some(Duration::ZERO));
        let decision = decision(true, [status("p", "5/minute", 1, bucket)]);
        let before = unix_ceil_secs(SystemTime::now());
        let reset =
            written(&decision, &[HeaderDialect::XRateLimitEpoch], X_RATELIMIT_RESET).unwrap();
        let after = unix_ceil_secs(SystemTime::now());
        assert!((before + 60..=after + 60).contains(&reset.parse().unwrap()), "{reset}");
        assert_eq!(written(&decision, &[], X_RATELIMIT_RESET), None);
    }

    #[test]
    fn jitter_is_drawn_once_for_a_request() {
        let settings =
            HttpSettings { retry_jitter: Duration::from_secs(3), ..HttpSettings::default() };
        let mut drawn = std::collections::BTreeSet::new();
        for _ in 0..1_000 {
            let request = actix_web::test::TestRequest::default().to_http_request();
            let seconds = jitter(&settings, &request);
            // The jitter of the request stays the same, even for an outer guard with other settings.
            assert_eq!(jitter(&HttpSettings::default(), &request), seconds);
            drawn.insert(seconds);
        }
        assert_eq!(drawn, (0..=3).collect());
    }

    #[test]
    fn maximum_durations_of_a_store_are_reported() {
        let bucket = bucket(0, Duration::MAX, Some(Duration::MAX));
        let denied = decision(false, [status("p", "5/minute", 1, bucket)]);
        for dialect in HeaderDialect::ALL {
            for name in dialect.field_names() {
                assert!(written(&denied, &[dialect], name).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn no_store_is_not_added_twice() {
        for (existing, expected) in [
            (None, "no-store"),
            (Some("public, max-age=60"), "no-store"),
            (Some("private, No-Store"), "private, No-Store"),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(existing) = existing {
                headers.insert(CACHE_CONTROL, HeaderValue::from_static(existing));
            }
            write_no_store(&mut headers);
            assert_eq!(headers.get(CACHE_CONTROL).unwrap(), expected);
        }
    }
}
