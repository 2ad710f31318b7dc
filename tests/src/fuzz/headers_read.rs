//! Tests how a client parses arbitrary rate limit headers. The number of parsed limits and all parsed durations
//! must be bounded. A list that is split into several header lines must have the same result as the list in one
//! line.

use std::{
    collections::BTreeSet,
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use actix_rateguard::headers::{
    HeaderDialect, MAX_WAIT, RATELIMIT_LIMIT, RATELIMIT_REMAINING, RATELIMIT_RESET, RETRY_AFTER,
    RateLimits,
};

use super::{
    Target,
    random::Random,
    text::{Text, TextSource},
};

/// The field names of each dialect that the reader supports. Several dialects with the same field names are one
/// item.
static DIALECTS: LazyLock<BTreeSet<&[&str]>> = LazyLock::new(|| {
    let written = HeaderDialect::ALL.map(HeaderDialect::field_names);
    let only_read: &[&str] = &[RATELIMIT_LIMIT, RATELIMIT_REMAINING, RATELIMIT_RESET];
    written.into_iter().chain([only_read]).collect()
});
static LISTS: LazyLock<Vec<&str>> =
    LazyLock::new(|| DIALECTS.iter().flat_map(|names| names.iter().copied()).collect());
const OTHERS: [&str; 4] = [RETRY_AFTER, RETRY_AFTER, "date", "server"];

/// Returns the maximum number of limits that [`RateLimits::read`] returns. It reads at most 64 items of each of the two
/// list fields `RateLimit` and `RateLimit-Policy`. The fields of each element of [`DIALECTS`] give at most one more
/// limit; for the element with `RateLimit`, this is the limit in the syntax of revision 07.
fn max_limits() -> usize {
    2 * 64 + DIALECTS.len()
}

const SOURCE: TextSource = TextSource {
    examples: &[
        "\"burst\";q=100;w=60, \"daily\";q=1000;w=86400",
        "\"burst\";r=0;t=30, daily;r=7",
        "a;r=1;pk=:YQ==:, a;r=2;pk=:Yg==:",
        "\"gr%C3%B6%C3%9Fe\";q=5;w=1;qu=\"content-bytes\"",
        "p;q=5;qu=concurrent-requests, \"p\";q=7;w=1;qu=\"a \\\" b\"",
        "\"burst\";a=80;w=45, daily;a=7;t=1",
        "limit=100, remaining=50, reset=5",
        "100, 100;w=60, 1000;w=3600",
        "10, 10;w=1;name=\"per-second\"",
        "120",
        "59.5",
        "1700000060",
        "1700000060500",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
    ],
    fragments: &[
        ",",
        ", ",
        ";",
        "=",
        "\"",
        "\\",
        " ",
        "(",
        ")",
        ":",
        "?1",
        "@1",
        "%0A",
        "%FF",
        "%25",
        ".5",
        "-",
        "a",
        "\"a\"",
        "q=",
        ";q=5",
        ";w=60",
        ";r=0",
        ";r=1",
        ";t=9",
        ";a=0",
        ";a=3",
        ";qu=",
        ";qu=\"content-bytes\"",
        "limit=",
        "remaining=0",
        "reset=",
        " GMT",
        "06 Nov 1994",
        "*",
        "%\"\"",
        ":YQ==:",
    ],
};

/// List items that are valid in any order.
const ITEMS: [&str; 10] = [
    "\"burst\";q=100;w=60",
    "\"a, b\";r=0;t=30",
    "daily;r=7;t=1",
    "daily;q=9;w=86400",
    "daily;q=9;qu=\"content-bytes\"",
    "daily;a=7;w=1",
    "100;w=60",
    "(1 2);q=1",
    "limit=100",
    "0",
];

#[derive(Debug)]
pub(super) struct Input {
    /// The names and values of the headers.
    fields: Vec<(&'static str, Text)>,
    now: SystemTime,
    listed_in: &'static str,
    /// The items of a list. The flag says whether the item begins a new header line.
    list: Vec<(&'static str, bool)>,
}

#[derive(Default)]
pub(super) struct HeadersRead;

impl Target for HeadersRead {
    type Input = Input;

    const OUTCOMES: &'static [&'static str] = &[
        "nothing is parsed",
        "limits are parsed",
        "a wait is parsed",
        "limits and a wait are parsed",
    ];

    fn input(&self, random: &mut Random) -> Input {
        let field = |random: &mut Random| {
            let name = match random.below(40) {
                0 => "age",
                1..10 => random.pick(&OTHERS),
                _ => random.pick(&LISTS),
            };
            (name, SOURCE.text(random))
        };
        let since = Duration::from_secs(random.number());
        Input {
            fields: random.list(7, field),
            now: UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH),
            listed_in: random.pick::<&str>(&LISTS),
            list: {
                let end = if random.one_in(16) { 100 } else { 5 };
                random.list(end, |random| (*random.pick(&ITEMS), random.one_in(2)))
            },
        }
    }

    fn check(&mut self, input: &Input) -> usize {
        let fields: Vec<_> = input.fields.iter().map(|(name, line)| (*name, &*line.0)).collect();
        let parsed = RateLimits::read(fields.iter().copied(), input.now);
        assert!(parsed.limits().len() <= max_limits(), "{} limits", parsed.limits().len());
        let resets = parsed.limits().iter().filter_map(|limit| limit.reset_after());
        let longest = resets.chain(parsed.retry_after()).chain(parsed.wait()).max();
        assert!(
            longest.unwrap_or_default() <= MAX_WAIT,
            "expected at most {MAX_WAIT:?}, found {longest:?}"
        );
        let mut names = parsed.limits().iter().filter_map(|limit| limit.policy());
        assert!(
            !names.any(|name| name.contains(char::is_control)),
            "a name has a control character"
        );
        for unit in parsed.limits().iter().map(|limit| limit.unit().as_str()) {
            let is_safe = unit.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            assert!(is_safe && !unit.is_empty(), "the quota unit is {unit:?}");
        }

        // The result must not depend on upper or lower case in names, nor on the order of headers with different
        // names.
        let mut sorted = fields.clone();
        sorted.sort_by_key(|(name, _)| *name);
        let sorted = sorted.into_iter().map(|(name, line)| (name.to_ascii_uppercase(), line));
        assert_eq!(RateLimits::read(sorted, input.now), parsed, "the order of the headers matters");

        let others: Vec<_> =
            fields.into_iter().filter(|(name, _)| *name != input.listed_in).collect();
        let read = |lines: &[String]| {
            let lines = lines.iter().map(|line| (input.listed_in, line.as_bytes()));
            RateLimits::read(others.iter().copied().chain(lines), input.now)
        };
        let items: Vec<_> = input.list.iter().map(|(item, _)| *item).collect();
        let whole = read(&[items.join(", ")]);
        assert_eq!(read(&split(&input.list)), whole, "splitting the list into lines matters");

        usize::from(!parsed.limits().is_empty()) + 2 * usize::from(parsed.retry_after().is_some())
    }
}

/// Splits the list into header lines.
fn split(list: &[(&str, bool)]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (item, is_new_line) in list {
        match lines.last_mut() {
            Some(last) if !is_new_line => last.extend([", ", item]),
            _ => lines.push((*item).to_owned()),
        }
    }
    lines
}
