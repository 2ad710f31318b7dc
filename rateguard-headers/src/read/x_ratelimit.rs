//! Parses a limit from three separate fields, such as `X-RateLimit-Limit`, `X-RateLimit-Remaining` and
//! `X-RateLimit-Reset`. These are the oldest fields for rate limits, and servers write their values in many
//! variants.

use std::time::SystemTime;

use super::{
    ParsedLimit,
    fields::Fields,
    numbers::first_whole,
    retry,
    structured::{Item, items, window_of},
};

/// Reads a limit from three fields, which contain the quota, the remaining units and the reset.
pub(crate) fn read(
    fields: &Fields,
    [limit, remaining, reset]: [&str; 3],
    policies: &[Item],
    now: SystemTime,
) -> Option<ParsedLimit> {
    let quota = fields.get(limit).and_then(first_whole);
    // Some servers write the windows after the quota in the same field. Others write the windows in a separate
    // field.
    let listed = fields.get(limit).map(items).unwrap_or_default();
    let window =
        quota.and_then(|quota| window_of(quota, &listed).or_else(|| window_of(quota, policies)));
    let remaining = fields.get(remaining).and_then(first_whole);
    let reset_after = fields.get(reset).and_then(|text| retry::reset(text, now));
    let limit = ParsedLimit { quota, window, remaining, reset_after, ..ParsedLimit::default() };
    (limit != ParsedLimit::default()).then_some(limit)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::names::{X_RATELIMIT_LIMIT, X_RATELIMIT_REMAINING, X_RATELIMIT_RESET};

    const NAMES: [&str; 3] = [X_RATELIMIT_LIMIT, X_RATELIMIT_REMAINING, X_RATELIMIT_RESET];
    const NOW: u64 = 1_372_700_000;

    #[test]
    fn fields_of_many_servers_are_parsed() {
        for (server, values, expected) in [
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
            assert_eq!(numbers(values, ""), Some(expected), "{server}");
        }
    }

    #[test]
    fn window_is_that_of_the_policy_with_equal_quota() {
        for (limit, policies, window) in [
            ("100", "10;w=1, 100;w=60", Some(60)),
            ("100, 100;w=5", "100;w=60", Some(5)),
            ("100, 10;w=5", "100, 100;w=60, 100;w=3600", Some(60)),
            ("100", "100;w=0", None),
            ("100", "\"a\";q=100;w=60", None),
        ] {
            let expected = Some([Some(100), window, None, None]);
            assert_eq!(numbers([limit, "", ""], policies), expected, "{limit} {policies}");
        }
    }

    #[test]
    fn malformed_fields_are_ignored() {
        for (values, expected) in [
            (["", "", ""], None),
            (["many", "-1", "2013-07-01T17:47:53Z"], None),
            (["100 per minute", "1.5", "60"], Some([None, None, None, Some(60)])),
            (["-5", "0", "-5"], Some([None, None, Some(0), None])),
            (["99999999999999999999", "x", "y"], Some([Some(u64::MAX), None, None, None])),
        ] {
            assert_eq!(numbers(values, ""), expected, "{values:?}");
        }
    }

    /// Reads a limit from three field values, and returns its quota, window, remaining units and reset. Durations
    /// are in seconds.
    fn numbers(values: [&str; 3], policies: &str) -> Option<[Option<u64>; 4]> {
        let fields = Fields::find(NAMES.into_iter().zip(values));
        let limit = read(&fields, NAMES, &items(policies), UNIX_EPOCH + Duration::from_secs(NOW))?;
        let seconds = |duration: Option<Duration>| duration.map(|duration| duration.as_secs());
        assert_eq!(limit.policy, None);
        Some([limit.quota, seconds(limit.window), limit.remaining, seconds(limit.reset_after)])
    }
}
