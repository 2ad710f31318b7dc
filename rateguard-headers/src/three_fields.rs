//! One limit in three fields: the oldest form, which many servers have, and few in the same way.

use std::time::SystemTime;

use crate::{
    ToldLimit,
    fields::Fields,
    numbers::first_whole,
    structured::{Item, items, window_of},
    waits,
};

/// What three fields tell: the limit, what remains and the reset.
pub(crate) fn read(
    fields: &Fields,
    [limit, remaining, reset]: [&str; 3],
    policies: &[Item],
    now: SystemTime,
) -> Option<ToldLimit> {
    let quota = fields.get(limit).and_then(first_whole);
    // Some tell the windows in a list behind the number, others in a field of their own.
    let listed = fields.get(limit).map(items).unwrap_or_default();
    let window =
        quota.and_then(|quota| window_of(quota, &listed).or_else(|| window_of(quota, policies)));
    let remaining = fields.get(remaining).and_then(first_whole);
    let reset_after = fields.get(reset).and_then(|text| waits::reset(text, now));
    let limit = ToldLimit { policy: None, quota, window, remaining, reset_after };
    (limit != ToldLimit::default()).then_some(limit)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::names::{X_RATELIMIT_LIMIT, X_RATELIMIT_REMAINING, X_RATELIMIT_RESET};

    const NAMES: [&str; 3] = [X_RATELIMIT_LIMIT, X_RATELIMIT_REMAINING, X_RATELIMIT_RESET];
    const NOW: u64 = 1_372_700_000;

    #[test]
    fn many_servers_are_understood() {
        for (of, values, expected) in [
            ("GitHub", ["5000", "4987", "1372700873"], [Some(5000), None, Some(4987), Some(873)]),
            ("RateGuard", ["5", "3", "3"], [Some(5), None, Some(3), Some(3)]),
            (
                "Envoy",
                ["10, 10;w=1;name=\"per-second\", 1000;w=3600", "9", "1"],
                [Some(10), Some(1), Some(9), Some(1)],
            ),
            (
                "express-rate-limit",
                ["100", "99", "1372700900"],
                [Some(100), None, Some(99), Some(900)],
            ),
            ("limitador", ["3, 3;w=60", "0", "42"], [Some(3), Some(60), Some(0), Some(42)]),
            ("Discord", ["5", "0", "1372700001.470"], [Some(5), None, Some(0), Some(2)]),
            ("milliseconds", ["5", "0", "1372700002000"], [Some(5), None, Some(0), Some(2)]),
            (
                "lines of two servers",
                ["100, 5", "0, 4", "9, 1"],
                [Some(100), None, Some(0), Some(9)],
            ),
        ] {
            assert_eq!(told(values, ""), Some(expected), "{of}");
        }
    }

    #[test]
    fn the_window_is_that_of_the_policy_with_this_quota() {
        for (limit, policies, window) in [
            ("100", "10;w=1, 100;w=60", Some(60)),
            ("100, 100;w=5", "100;w=60", Some(5)),
            ("100, 10;w=5", "100, 100;w=60, 100;w=3600", Some(60)),
            ("100", "100;w=0", None),
            ("100", "\"a\";q=100;w=60", None),
        ] {
            let expected = Some([Some(100), window, None, None]);
            assert_eq!(told([limit, "", ""], policies), expected, "{limit} {policies}");
        }
    }

    #[test]
    fn what_is_malformed_is_as_if_it_were_not_there() {
        for (values, expected) in [
            (["", "", ""], None),
            (["many", "-1", "2013-07-01T17:47:53Z"], None),
            (["100 per minute", "1.5", "60"], Some([None, None, None, Some(60)])),
            (["-5", "0", "-5"], Some([None, None, Some(0), None])),
            (["99999999999999999999", "x", "y"], Some([Some(u64::MAX), None, None, None])),
        ] {
            assert_eq!(told(values, ""), expected, "{values:?}");
        }
    }

    /// Quota, window, remaining and reset that these values tell, in seconds.
    fn told(values: [&str; 3], policies: &str) -> Option<[Option<u64>; 4]> {
        let fields = Fields::find(NAMES.into_iter().zip(values));
        let limit = read(&fields, NAMES, &items(policies), UNIX_EPOCH + Duration::from_secs(NOW))?;
        let seconds = |duration: Option<Duration>| duration.map(|duration| duration.as_secs());
        assert_eq!(limit.policy, None);
        Some([limit.quota, seconds(limit.window), limit.remaining, seconds(limit.reset_after)])
    }
}
