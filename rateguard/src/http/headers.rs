//! The names of all header fields that are written, and how.

use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};

use crate::Decision;

// No standard describes these three; GitHub's and many other services' have made them known. Reset is in seconds from
// now here, as a time of day would depend on the clocks of two machines.
const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Writes what was decided, over what may be there already.
pub(super) fn write_decision(decision: &Decision, headers: &mut HeaderMap) {
    headers.insert(LIMIT, decision.limit().into());
    headers.insert(REMAINING, decision.remaining().into());
    headers.insert(RESET, seconds(decision.reset_after()).into());
    if let Some(retry_after) = decision.retry_after() {
        write_retry_after(retry_after, headers);
    }
}

/// `Retry-After` in seconds (RFC 9110, section 10.2.3), never sooner than the truth and at least 1.
pub(super) fn write_retry_after(retry_after: Duration, headers: &mut HeaderMap) {
    headers.insert(RETRY_AFTER, seconds(retry_after).max(1).into());
}

/// A refusal is for this client at this moment: no cache may keep it (RFC 6585, section 4, for 429).
pub(super) fn write_no_store(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// Whole seconds, rounded up.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Standing, store::Level};

    fn written(allowed: bool, level: Level) -> [Option<String>; 4] {
        let standing = Standing::new("p".into(), "5/minute".parse().unwrap(), 1, level);
        let decision = Decision::new(allowed, [standing].into_iter().collect());
        let mut headers = HeaderMap::new();
        write_decision(&decision, &mut headers);
        [LIMIT, REMAINING, RESET, RETRY_AFTER]
            .map(|name| headers.get(name).map(|value| value.to_str().unwrap().to_owned()))
    }

    #[test]
    fn seconds_are_rounded_up() {
        for (micros, seconds) in [(1, "1"), (1_000_000, "1"), (1_000_001, "2"), (60_000_000, "60")]
        {
            let after = Duration::from_micros(micros);
            let level = Level { remaining: 0, reset_after: after, retry_after: Some(after) };
            let [_, _, reset, retry] = written(false, level);
            assert_eq!((reset.as_deref(), retry.as_deref()), (Some(seconds), Some(seconds)));
        }
    }

    #[test]
    fn who_is_admitted_or_never_will_be_is_told_the_numbers_and_no_wait() {
        let level = |retry_after| Level {
            remaining: 3,
            reset_after: Duration::from_millis(2_500),
            retry_after,
        };
        let expected = [Some("5"), Some("3"), Some("3"), None].map(|it| it.map(str::to_owned));
        assert_eq!(written(true, level(Some(Duration::ZERO))), expected);
        assert_eq!(written(false, level(None)), expected);
    }
}
