//! What clients are told of a decision in header fields.

use std::{
    hash::{BuildHasher, RandomState},
    time::{Duration, SystemTime},
};

use actix_web::{
    HttpMessage, HttpRequest,
    http::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue},
};
use rateguard_headers::{
    HeaderDialect, Limit, RATELIMIT, RATELIMIT_POLICY, RETRY_AFTER, X_RATELIMIT_LIMIT,
    X_RATELIMIT_REMAINING, X_RATELIMIT_RESET, rate_limit_policy_value, rate_limit_value,
    retry_after_seconds, seconds_up, unix_seconds_up,
};

use super::settings::HttpSettings;
use crate::{Algorithm, Decision, Quota, Standing};

/// No store of ours tells a longer time, and one that does has lost count.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 86_400);

/// Writes what was decided, over what may be there already, with so many seconds more in `Retry-After`.
pub(super) fn write_decision(
    decision: &Decision,
    settings: &HttpSettings,
    jitter: u64,
    headers: &mut HeaderMap,
) {
    for dialect in &settings.headers {
        match dialect {
            HeaderDialect::Draft => write_draft(decision, headers),
            HeaderDialect::XRateLimitEpoch => {
                let now = SystemTime::now();
                let reset = now.checked_add(decision.reset_after().min(LONGEST)).unwrap_or(now);
                let reset = unix_seconds_up(reset);
                write_x_rate_limit(decision, reset, headers);
            }
            _ => write_x_rate_limit(
                decision,
                seconds_up(decision.reset_after().min(LONGEST)),
                headers,
            ),
        }
    }
    if let Some(retry_after) = decision.retry_after() {
        write_retry_after(retry_after, jitter, headers);
    }
}

fn write_x_rate_limit(decision: &Decision, reset: u64, headers: &mut HeaderMap) {
    headers.insert(name(X_RATELIMIT_LIMIT), number(decision.limit().into()));
    headers.insert(name(X_RATELIMIT_REMAINING), number(decision.remaining().into()));
    headers.insert(name(X_RATELIMIT_RESET), number(reset));
}

/// Of a denial, only what denied is told in `RateLimit`: the others may well come back later than the client should.
fn write_draft(decision: &Decision, headers: &mut HeaderMap) {
    let told: Vec<_> = decision.standings().iter().zip(decision.public_names()).collect();
    let limits = told.iter().map(|(standing, policy)| Limit {
        policy,
        remaining: standing.remaining().into(),
        reset_after: standing.reset_after(),
        ..advertised(standing.quota())
    });
    let is_tightest = |place: &usize| *place == decision.tightest_place();
    let of_ban = decision.banned_for().map(|ban| {
        let banned = limits.clone().enumerate().find(|(place, _)| is_tightest(place));
        banned.map(|(_, limit)| Limit { remaining: 0, reset_after: ban, ..limit })
    });
    let value = match of_ban {
        Some(banned) => rate_limit_value(banned),
        None => {
            let is_told = |(standing, _): &&(&Standing, _)| {
                decision.is_allowed() || standing.retry_after() != Some(Duration::ZERO)
            };
            let is_told: Vec<bool> = told.iter().map(|it| is_told(&it)).collect();
            rate_limit_value(limits.clone().zip(is_told).filter(|it| it.1).map(|it| it.0))
        }
    };
    for (field, value) in [(RATELIMIT_POLICY, rate_limit_policy_value(limits)), (RATELIMIT, value)]
    {
        // What is written there is ASCII without control characters.
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(name(field), value);
        }
    }
}

/// Quota and window as clients are told them. A token bucket admits its burst in the time in which it fills up.
fn advertised(quota: Quota) -> Limit<'static> {
    let window = match quota.algorithm() {
        Algorithm::TokenBucket => {
            let micros = quota.window().as_micros() * u128::from(quota.capacity());
            let micros = micros.div_ceil(u128::from(quota.limit()));
            Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
        }
        _ => quota.window(),
    };
    let none = Duration::ZERO;
    Limit { policy: "", quota: quota.capacity().into(), window, remaining: 0, reset_after: none }
}

/// `Retry-After`, never sooner than the truth, and later by so many seconds.
pub(super) fn write_retry_after(after: Duration, jitter: u64, headers: &mut HeaderMap) {
    let seconds = retry_after_seconds(after.min(LONGEST)).saturating_add(jitter);
    headers.insert(name(RETRY_AFTER), number(seconds));
}

/// The seconds that are added to `Retry-After`, drawn once for a request: an outer limit tells them as the inner one did.
pub(super) fn jitter(settings: &HttpSettings, request: &HttpRequest) -> u64 {
    #[derive(Clone, Copy)]
    struct Drawn(u64);

    let mut extensions = request.extensions_mut();
    if let Some(Drawn(seconds)) = extensions.get() {
        return *seconds;
    }
    let seconds = match settings.retry_jitter.as_secs() {
        0 => return 0,
        // A hasher's seed is random.
        most => RandomState::new().hash_one(most) % most.saturating_add(1),
    };
    extensions.insert(Drawn(seconds));
    seconds
}

/// A refusal is for this client at this moment: no cache may keep it (RFC 6585, section 4, for 429).
pub(super) fn write_no_store(headers: &mut HeaderMap) {
    let says_so = |value: &HeaderValue| {
        value.to_str().is_ok_and(|value| value.to_ascii_lowercase().contains("no-store"))
    };
    if !headers.get_all(CACHE_CONTROL).any(says_so) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// A number in decimal: what [`HeaderValue`] makes of it takes two allocations, and this one.
fn number(number: u64) -> HeaderValue {
    let mut digits = itoa::Buffer::new();
    HeaderValue::from_str(digits.format(number)).unwrap_or_else(|_| number.into())
}

fn name(name: &'static str) -> HeaderName {
    HeaderName::from_static(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Key, Policy,
        store::{Bucket, Charge, Level},
    };

    fn standing(policy: &str, quota: &str, cost: u32, level: Level) -> Standing {
        let key = Key::global();
        let charge = Charge::new(Bucket::new(policy, 0, &key), quota.parse().unwrap(), cost);
        let policy = Policy::new(policy.to_owned(), charge.quota).unwrap();
        Standing::new(policy.shared_name().clone(), &charge, level)
    }

    fn level(remaining: u32, reset: Duration, retry_after: Option<Duration>) -> Level {
        Level { remaining, reset_after: reset, retry_after }
    }

    fn written(decision: &Decision, dialects: &[HeaderDialect], name: &str) -> Option<String> {
        let settings = HttpSettings { headers: dialects.to_vec(), ..HttpSettings::default() };
        let mut headers = HeaderMap::new();
        write_decision(decision, &settings, 0, &mut headers);
        headers.get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    fn decision<const N: usize>(allowed: bool, standings: [Standing; N]) -> Decision {
        Decision::new(allowed, standings.into_iter().collect())
    }

    const FIELDS: [&str; 4] =
        [X_RATELIMIT_LIMIT, X_RATELIMIT_REMAINING, X_RATELIMIT_RESET, RETRY_AFTER];

    #[test]
    fn seconds_are_rounded_up() {
        for (micros, seconds) in [(1, "1"), (1_000_000, "1"), (1_000_001, "2"), (60_000_000, "60")]
        {
            let after = Duration::from_micros(micros);
            let denied =
                decision(false, [standing("p", "5/minute", 1, level(0, after, Some(after)))]);
            for name in [X_RATELIMIT_RESET, RETRY_AFTER] {
                let told = written(&denied, &[HeaderDialect::XRateLimit], name);
                assert_eq!(told.as_deref(), Some(seconds));
            }
        }
    }

    #[test]
    fn who_is_admitted_or_never_will_be_is_told_the_numbers_and_no_wait() {
        for (allowed, retry_after) in [(true, Some(Duration::ZERO)), (false, None)] {
            let level = level(3, Duration::from_millis(2_500), retry_after);
            let decision = decision(allowed, [standing("p", "5/minute", 1, level)]);
            let told = FIELDS.map(|name| written(&decision, &[HeaderDialect::XRateLimit], name));
            assert_eq!(
                told,
                [Some("5"), Some("3"), Some("3"), None].map(|it| it.map(str::to_owned))
            );
        }
    }

    #[test]
    fn the_draft_names_all_quotas_and_of_a_denial_those_that_denied() {
        let [second, day] = [Duration::from_secs(1), Duration::from_secs(86_400)];
        let draft = [HeaderDialect::Draft];
        let daily = || standing("daily", "1000/day", 1, level(400, day, Some(Duration::ZERO)));
        let burst = |remaining, wait| {
            standing(
                "burst",
                "100/second token_bucket burst 20",
                1,
                level(remaining, second, Some(wait)),
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
    fn a_reset_may_be_a_point_in_time() {
        let level = level(3, Duration::from_secs(60), Some(Duration::ZERO));
        let decision = decision(true, [standing("p", "5/minute", 1, level)]);
        let before = unix_seconds_up(SystemTime::now());
        let told =
            written(&decision, &[HeaderDialect::XRateLimitEpoch], X_RATELIMIT_RESET).unwrap();
        let after = unix_seconds_up(SystemTime::now());
        assert!((before + 60..=after + 60).contains(&told.parse().unwrap()), "{told}");
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
            // Whatever an outer guard says.
            assert_eq!(jitter(&HttpSettings::default(), &request), seconds);
            drawn.insert(seconds);
        }
        assert_eq!(drawn, (0..=3).collect());
    }

    #[test]
    fn a_store_that_has_lost_count_breaks_no_answer() {
        let level = level(0, Duration::MAX, Some(Duration::MAX));
        let denied = decision(false, [standing("p", "5/minute", 1, level)]);
        for dialect in [HeaderDialect::XRateLimit, HeaderDialect::XRateLimitEpoch] {
            assert!(written(&denied, &[dialect], X_RATELIMIT_RESET).is_some());
        }
        assert!(written(&denied, &[HeaderDialect::Draft], RATELIMIT).is_some());
    }

    #[test]
    fn what_is_not_stored_is_not_said_so_twice() {
        for (said, written) in [
            (None, "no-store"),
            (Some("public, max-age=60"), "no-store"),
            (Some("private, No-Store"), "private, No-Store"),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(said) = said {
                headers.insert(CACHE_CONTROL, HeaderValue::from_static(said));
            }
            write_no_store(&mut headers);
            assert_eq!(headers.get(CACHE_CONTROL).unwrap(), written);
        }
    }
}
