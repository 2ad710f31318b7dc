//! Writes the values of header fields.
//!
//! A server calls these functions for every response, so they write directly into one string. A general serializer
//! of Structured Fields would allocate another string for each name.

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::Limit;

/// The longest time that a server reports in a field, such as the time until a reset: 3,660 days, which is about 10
/// years. Only a faulty store calculates a longer time.
pub const MAX_REPORTED_TIME: Duration = Duration::from_secs(10 * 366 * 86_400);

/// The maximum integer in Structured Fields, which has 15 digits (RFC 9651, section 3.3.1).
const MAX_INTEGER: u64 = 999_999_999_999_999;

/// The unit of a limit that counts the requests that the server processes at the same time
/// (draft-ietf-httpapi-ratelimit-headers-11).
const CONCURRENT_REQUESTS: &str = "concurrent-requests";

/// The typical number of bytes for one limit in a list: a name of 20 characters, two parameters and a comma.
const TYPICAL_LIMIT_BYTES: usize = 48;

/// Returns the value of `RateLimit-Policy`, such as `"burst";q=100;w=60, "daily";q=1000;w=86400`. The result is `None`
/// if `limits` is empty, because Structured Fields have no empty lists.
///
/// If a limit counts the requests that the server processes at the same time, the parameter `qu` has the unit
/// `concurrent-requests`, and there is no window.
///
/// A window is written in whole seconds, rounded up, and is at least 1. A number of more than 15 digits is written as
/// 999,999,999,999,999, because Structured Fields have no longer numbers. In a name, `%` and all bytes that are not
/// printable ASCII are percent-encoded, so two different names stay different.
#[must_use]
pub fn rate_limit_policy_value<'a>(limits: impl IntoIterator<Item = Limit<'a>>) -> Option<String> {
    list(limits, |limit, text| {
        let quota = limit.quota.min(MAX_INTEGER);
        // A write into a string never fails.
        let _ = match limit.is_concurrent {
            true => write!(text, ";q={quota};qu=\"{CONCURRENT_REQUESTS}\""),
            false => {
                let window = ceil_secs(limit.window).clamp(1, MAX_INTEGER);
                write!(text, ";q={quota};w={window}")
            }
        };
    })
}

/// Returns the value of `RateLimit`, such as `"burst";r=50;t=30`. The result is `None` if `limits` is empty.
///
/// The parameter `r` contains the remaining units. The parameter `t` contains the time until the reset in whole
/// seconds, rounded up. It is absent if the limit counts the requests that the server processes at the same time. Names and long numbers are written as in [`rate_limit_policy_value`].
#[must_use]
pub fn rate_limit_value<'a>(limits: impl IntoIterator<Item = Limit<'a>>) -> Option<String> {
    list(limits, |limit, text| {
        let _ = write!(text, ";r={}", limit.remaining.min(MAX_INTEGER));
        if !limit.is_concurrent {
            let _ = write!(text, ";t={}", ceil_secs(limit.reset_after).min(MAX_INTEGER));
        }
    })
}

/// Returns the value of `Retry-After` in seconds. The wait is rounded up, so that no client retries too early. The
/// result is at least 1, because a client that receives 0 would retry immediately.
#[must_use]
pub fn retry_after_seconds(wait: Duration) -> u64 {
    ceil_secs(wait).max(1)
}

/// Returns the number of seconds in a duration, rounded up to a whole number.
#[must_use]
pub fn ceil_secs(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0))
}

/// Returns a Unix time in whole seconds, rounded up. The result is 0 for a time before 1970.
#[must_use]
pub fn unix_ceil_secs(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, ceil_secs)
}

/// Writes a list that has a name for each limit, and the parameters that `parameters` writes.
fn list<'a>(
    limits: impl IntoIterator<Item = Limit<'a>>,
    parameters: impl Fn(&Limit<'a>, &mut String),
) -> Option<String> {
    let limits = limits.into_iter();
    let mut text = String::with_capacity(TYPICAL_LIMIT_BYTES.saturating_mul(limits.size_hint().0));
    for limit in limits {
        if !text.is_empty() {
            text.push_str(", ");
        }
        write_name(limit.policy, &mut text);
        parameters(&limit, &mut text);
    }
    (!text.is_empty()).then_some(text)
}

/// Returns the name of a policy in the form that `RateLimit` and `RateLimit-Policy` contain. `%` and all bytes that are
/// not printable ASCII are percent-encoded. If a server also sends the name elsewhere, for example in problem details,
/// the server should send the encoded name there, too. A client can then compare the two names.
#[must_use]
pub fn encode_policy_name(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    name.bytes().for_each(|byte| write_encoded(byte, &mut encoded));
    encoded
}

/// Writes a name as a value of the type String in Structured Fields (RFC 9651, section 3.3.3). This type contains
/// only printable ASCII.
fn write_name(name: &str, to: &mut String) {
    to.push('"');
    for byte in name.bytes() {
        if matches!(byte, b'"' | b'\\') {
            to.push('\\');
        }
        write_encoded(byte, to);
    }
    to.push('"');
}

fn write_encoded(byte: u8, to: &mut String) {
    match byte {
        b'%' | ..b' ' | 0x7f.. => {
            // A write into a string never fails.
            let _ = write!(to, "%{byte:02X}");
        }
        _ => to.push(char::from(byte)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use sfv::{FieldType, List, Parser};

    use super::*;

    fn limit(policy: &str) -> Limit<'_> {
        let (window, reset_after) = (Duration::from_secs(60), Duration::from_secs(30));
        Limit { policy, quota: 100, window, remaining: 50, reset_after, is_concurrent: false }
    }

    #[test]
    fn lists_have_the_syntax_of_the_draft() {
        let day = Duration::from_secs(86_400);
        let daily = Limit { quota: 1000, window: day, remaining: 7, ..limit("daily") };
        for (limits, policies, statuses) in [
            (vec![], None, None),
            (
                vec![limit("default")],
                Some(r#""default";q=100;w=60"#),
                Some(r#""default";r=50;t=30"#),
            ),
            (
                vec![limit("burst"), daily],
                Some(r#""burst";q=100;w=60, "daily";q=1000;w=86400"#),
                Some(r#""burst";r=50;t=30, "daily";r=7;t=30"#),
            ),
        ] {
            assert_eq!(rate_limit_policy_value(limits.iter().copied()).as_deref(), policies);
            assert_eq!(rate_limit_value(limits).as_deref(), statuses);
        }
    }

    #[test]
    fn seconds_are_rounded_up() {
        for (millis, seconds, wait) in
            [(0, 0, 1), (1, 1, 1), (999, 1, 1), (1000, 1, 1), (1001, 2, 2), (59_500, 60, 60)]
        {
            let duration = Duration::from_millis(millis);
            assert_eq!(ceil_secs(duration), seconds);
            assert_eq!(retry_after_seconds(duration), wait);
            assert_eq!(unix_ceil_secs(UNIX_EPOCH + duration), seconds);

            let limit = Limit { window: duration, reset_after: duration, ..limit("a") };
            let policy = format!("\"a\";q=100;w={wait}");
            let status = format!("\"a\";r=50;t={seconds}");
            assert_eq!(rate_limit_policy_value([limit]), Some(policy));
            assert_eq!(rate_limit_value([limit]), Some(status));
        }
        assert_eq!(ceil_secs(Duration::MAX), u64::MAX);
        assert_eq!(unix_ceil_secs(UNIX_EPOCH - Duration::from_secs(1)), 0);
    }

    #[test]
    fn numbers_have_at_most_15_digits() {
        let max = Limit {
            policy: "a",
            quota: u64::MAX,
            window: Duration::MAX,
            remaining: u64::MAX,
            reset_after: Duration::MAX,
            is_concurrent: false,
        };
        let policy = r#""a";q=999999999999999;w=999999999999999"#;
        assert_eq!(rate_limit_policy_value([max]).as_deref(), Some(policy));
        let status = r#""a";r=999999999999999;t=999999999999999"#;
        assert_eq!(rate_limit_value([max]).as_deref(), Some(status));
    }

    #[test]
    fn names_are_quoted_and_encoded() {
        for (name, encoded, written) in [
            ("", "", r#""""#),
            ("shop::cart/add#2", "shop::cart/add#2", r#""shop::cart/add#2""#),
            ("a b", "a b", r#""a b""#),
            (r#"a"b\c"#, r#"a"b\c"#, r#""a\"b\\c""#),
            ("größe", "gr%C3%B6%C3%9Fe", r#""gr%C3%B6%C3%9Fe""#),
            ("50%", "50%25", r#""50%25""#),
            ("a\r\nb\u{7f}", "a%0D%0Ab%7F", r#""a%0D%0Ab%7F""#),
        ] {
            let mut text = String::new();
            write_name(name, &mut text);
            assert_eq!(text, written);
            assert_eq!(encode_policy_name(name), encoded);
        }
    }

    proptest! {
        #[test]
        fn lists_equal_those_of_a_general_serializer(
            limits in vec((any::<String>(), any::<[u64; 2]>(), any::<[Duration; 2]>(), any::<bool>()), 1..9),
        ) {
            let limits = limits.iter().map(|(policy, numbers, durations, is_concurrent)| {
                let ([quota, remaining], [window, reset_after]) = (*numbers, *durations);
                Limit { policy, quota, window, remaining, reset_after, is_concurrent: *is_concurrent }
            });
            for text in [rate_limit_policy_value(limits.clone()), rate_limit_value(limits)] {
                let list: List = Parser::new(text.as_deref().unwrap()).parse().unwrap();
                prop_assert_eq!(list.serialize(), text);
            }
        }
    }
}
