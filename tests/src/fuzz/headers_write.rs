//! Tests how limits are written to headers. A parser of Structured Fields and the reader of this library must both
//! find the values that were written.

use std::time::Duration;

use actix_rateguard::headers::{
    Limit, MAX_WAIT, RATELIMIT, RATELIMIT_POLICY, RETRY_AFTER, RateLimits, rate_limit_policy_value,
    rate_limit_value, retry_after_seconds,
};
use sfv::{FieldType, List, ListEntry, Parser};

use super::{Target, random::Random, text::TextSource};

/// The largest integer that Structured Fields (RFC 9651) allow.
const MAX_INTEGER: u64 = 999_999_999_999_999;
/// The maximum length in bytes of a header that the reader accepts.
const MAX_BYTES: usize = 16 * 1024;
const MAX_ITEMS: usize = 64;

const NAMES: TextSource = TextSource {
    examples: &[
        "login",
        "shop::cart/add#2",
        "größe",
        "50%",
        "a%0Ab",
        "a\"b\\c",
        "a b",
        "a\r\nb",
        "",
    ],
    fragments: &[
        "%",
        "%25",
        "%4",
        "%C3",
        "\"",
        "\\",
        "a",
        "B",
        "é",
        "\u{85}",
        "\u{1f600}",
        ";q=1",
        ",",
    ],
};

type LimitValues = (String, [u64; 2], [Duration; 2]);

#[derive(Default)]
pub(super) struct HeadersWrite;

impl Target for HeadersWrite {
    type Input = Vec<LimitValues>;

    const OUTCOMES: &'static [&'static str] = &[
        "no limits",
        "all limits are read back",
        "the first 64 limits are read back",
        "the header is too long",
    ];

    fn input(&self, random: &mut Random) -> Self::Input {
        let duration = |random: &mut Random| {
            let nanos = if random.one_in(2) { 0 } else { random.below(1_000_000_000) };
            Duration::new(random.number(), nanos as u32)
        };
        let end = match random.below(512) {
            0 => 1_000,
            1..8 => 100,
            _ => 5,
        };
        random.list(end, |random| {
            let name = NAMES.string(random);
            let counts = [random.number(), random.number()];
            (name, counts, [duration(random), duration(random)])
        })
    }

    fn check(&mut self, input: &Self::Input) -> usize {
        let limits = input.iter().map(|(policy, [quota, remaining], [window, reset_after])| {
            let (quota, remaining) = (*quota, *remaining);
            Limit {
                policy,
                quota,
                window: *window,
                remaining,
                reset_after: *reset_after,
                is_concurrent: false,
            }
        });
        let limits: Vec<_> = limits.collect();
        let policies = rate_limit_policy_value(limits.iter().copied());
        let statuses = rate_limit_value(limits.iter().copied());
        let (Some(policies), Some(statuses)) = (&policies, &statuses) else {
            assert!(limits.is_empty() && policies == statuses, "a limit is missing");
            return 0;
        };

        let names =
            check_list(policies, ["q", "w"], &limits, |it| (it.quota, ceil_secs(it.window).max(1)));
        let status_names = check_list(statuses, ["r", "t"], &limits, |it| {
            (it.remaining, ceil_secs(it.reset_after))
        });
        assert_eq!(names, status_names, "the names in the two headers differ");

        let wait = retry_after_seconds(limits[0].reset_after);
        let lines =
            [(RATELIMIT, statuses), (RATELIMIT_POLICY, policies), (RETRY_AFTER, &wait.to_string())];
        let parsed = RateLimits::read(lines, std::time::UNIX_EPOCH);
        assert_eq!(parsed.retry_after(), Some(Duration::from_secs(wait).min(MAX_WAIT)));
        if policies.len().max(statuses.len()) > MAX_BYTES {
            return 3;
        }

        let read = names.len().min(MAX_ITEMS);
        assert_eq!(parsed.limits().len(), read, "the number of limits differs");
        for ((limit, parsed), written) in limits.iter().zip(parsed.limits()).zip(&names) {
            let is_clean = !limit.policy.contains(char::is_control);
            assert_eq!(parsed.policy(), Some(if is_clean { limit.policy } else { written }));
            assert_eq!(parsed.remaining(), Some(limit.remaining.min(MAX_INTEGER)));
            let reset_after = Duration::from_secs(ceil_secs(limit.reset_after)).min(MAX_WAIT);
            assert_eq!(parsed.reset_after(), Some(reset_after));
            // If several policies have the same name, the reader returns the quota of the first policy.
            let first = limits.iter().find(|it| it.policy == limit.policy).unwrap();
            assert_eq!(parsed.quota(), Some(first.quota.min(MAX_INTEGER)));
            let window = Duration::from_secs(ceil_secs(first.window).clamp(1, MAX_INTEGER));
            assert_eq!(parsed.window(), Some(window));
        }
        if read == names.len() { 1 } else { 2 }
    }
}

/// Parses a list, compares each item with the limit from which it was written, and returns the names of the items.
fn check_list(
    text: &str,
    keys: [&str; 2],
    limits: &[Limit<'_>],
    numbers: impl Fn(&Limit<'_>) -> (u64, u64),
) -> Vec<String> {
    let list: List = Parser::new(text).parse().unwrap();
    assert_eq!(list.serialize().as_deref(), Some(text), "the list is not canonical");
    assert_eq!(list.len(), limits.len(), "the number of items differs");
    let names = list.iter().zip(limits).map(|(entry, limit)| {
        let ListEntry::Item(item) = entry else {
            unreachable!("expected an item, found {entry:?}")
        };
        let name = item.bare_item.as_string().unwrap().as_str();
        assert_eq!(decoded(name), limit.policy.as_bytes(), "the decoded name differs");
        let read: Vec<_> = item
            .params
            .iter()
            .map(|(key, it)| (key.as_str(), it.as_integer().map(i64::from)))
            .collect();
        let (one, other) = numbers(limit);
        let expected = [one, other].map(|number| i64::try_from(number.min(MAX_INTEGER)).ok());
        assert_eq!(read, [(keys[0], expected[0]), (keys[1], expected[1])]);
        name.to_owned()
    });
    names.collect()
}

/// Decodes a name. Two uppercase hexadecimal digits must follow each `%`.
fn decoded(name: &str) -> Vec<u8> {
    let mut fragments = name.split('%');
    let mut bytes = fragments.next().unwrap_or_default().as_bytes().to_vec();
    for fragment in fragments {
        let (digits, rest) = fragment.split_at(2);
        assert_eq!(digits, digits.to_ascii_uppercase());
        bytes.push(u8::from_str_radix(digits, 16).unwrap());
        bytes.extend_from_slice(rest.as_bytes());
    }
    bytes
}

/// Returns the duration in seconds, rounded up.
fn ceil_secs(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000_000)).unwrap_or(u64::MAX)
}
