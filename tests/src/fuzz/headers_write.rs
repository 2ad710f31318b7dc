//! How limits are written: so that a parser of Structured Fields and our own reader both find the same.

use std::time::Duration;

use rateguard::headers::{
    Limit, MAX_WAIT, RATELIMIT, RATELIMIT_POLICY, RETRY_AFTER, RateLimits, rate_limit_policy_value,
    rate_limit_value, retry_after_seconds,
};
use sfv::{FieldType, List, ListEntry, Parser};

use super::{Target, random::Random, text::Words};

/// The highest number that Structured Fields have.
const MOST: u64 = 999_999_999_999_999;
/// What the reader reads of a field at the most, and of a list.
const MOST_BYTES: usize = 16 * 1024;
const MOST_ITEMS: usize = 64;

const NAMES: Words = Words {
    wholes: &["login", "shop::cart/add#2", "größe", "50%", "a%0Ab", "a\"b\\c", "a b", "a\r\nb", ""],
    pieces: &[
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

type Told = (String, [u64; 2], [Duration; 2]);

#[derive(Default)]
pub(super) struct HeadersWrite;

impl Target for HeadersWrite {
    type Input = Vec<Told>;

    const OUTCOMES: &'static [&'static str] = &[
        "there is nothing to write",
        "all is read back",
        "the first are read back",
        "it is too long",
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
            Limit { policy, quota, window: *window, remaining, reset_after: *reset_after }
        });
        let limits: Vec<_> = limits.collect();
        let policies = rate_limit_policy_value(limits.iter().copied());
        let standings = rate_limit_value(limits.iter().copied());
        let (Some(policies), Some(standings)) = (&policies, &standings) else {
            assert!(limits.is_empty() && policies == standings, "nothing is written of something");
            return 0;
        };

        let names = parsed(policies, ["q", "w"], &limits, |it| (it.quota, up(it.window).max(1)));
        let same = parsed(standings, ["r", "t"], &limits, |it| (it.remaining, up(it.reset_after)));
        assert_eq!(names, same, "the names of the fields differ");

        let wait = retry_after_seconds(limits[0].reset_after);
        let lines = [
            (RATELIMIT, standings),
            (RATELIMIT_POLICY, policies),
            (RETRY_AFTER, &wait.to_string()),
        ];
        let told = RateLimits::read(lines, std::time::UNIX_EPOCH);
        assert_eq!(told.retry_after(), Some(Duration::from_secs(wait).min(MAX_WAIT)));
        if policies.len().max(standings.len()) > MOST_BYTES {
            return 3;
        }

        let read = names.len().min(MOST_ITEMS);
        assert_eq!(told.limits().len(), read, "not all are read");
        for ((limit, told), written) in limits.iter().zip(told.limits()).zip(&names) {
            let is_clean = !limit.policy.contains(char::is_control);
            assert_eq!(told.policy(), Some(if is_clean { limit.policy } else { written }));
            assert_eq!(told.remaining(), Some(limit.remaining.min(MOST)));
            let reset_after = Duration::from_secs(up(limit.reset_after)).min(MAX_WAIT);
            assert_eq!(told.reset_after(), Some(reset_after));
            // Of policies with one name, the first is found.
            let first = limits.iter().find(|it| it.policy == limit.policy).unwrap();
            assert_eq!(told.quota(), Some(first.quota.min(MOST)));
            let window = Duration::from_secs(up(first.window).clamp(1, MOST));
            assert_eq!(told.window(), Some(window));
        }
        if read == names.len() { 1 } else { 2 }
    }
}

/// The names in a list as they are written, when all of it is as it has to be.
fn parsed(
    text: &str,
    keys: [&str; 2],
    limits: &[Limit<'_>],
    numbers: impl Fn(&Limit<'_>) -> (u64, u64),
) -> Vec<String> {
    let list: List = Parser::new(text).parse().unwrap();
    assert_eq!(list.serialize().as_deref(), Some(text), "it is not canonical");
    assert_eq!(list.len(), limits.len(), "some are missing");
    let names = list.iter().zip(limits).map(|(entry, limit)| {
        let ListEntry::Item(item) = entry else { unreachable!("{entry:?} is no item") };
        let name = item.bare_item.as_string().unwrap().as_str();
        assert_eq!(decoded(name), limit.policy.as_bytes(), "the name is another");
        let read: Vec<_> = item
            .params
            .iter()
            .map(|(key, it)| (key.as_str(), it.as_integer().map(i64::from)))
            .collect();
        let (one, other) = numbers(limit);
        let expected = [one, other].map(|number| i64::try_from(number.min(MOST)).ok());
        assert_eq!(read, [(keys[0], expected[0]), (keys[1], expected[1])]);
        name.to_owned()
    });
    names.collect()
}

/// What was encoded; each `%` has to be followed by two digits in capitals.
fn decoded(name: &str) -> Vec<u8> {
    let mut pieces = name.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at(2);
        assert_eq!(digits, digits.to_ascii_uppercase());
        bytes.push(u8::from_str_radix(digits, 16).unwrap());
        bytes.extend_from_slice(rest.as_bytes());
    }
    bytes
}

/// Whole seconds, not fewer.
fn up(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000_000)).unwrap_or(u64::MAX)
}
