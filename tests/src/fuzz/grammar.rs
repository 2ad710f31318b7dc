//! Tests the parsers of the grammar crate.

use actix_rateguard_grammar::{Algorithm, Count, KeyNotation, KeyPart};

use super::{
    Target,
    properties::{ban, choices, methods, name, quota, quotas, round_trip, window},
    random::Random,
    text::TextSource,
};

const FRAGMENTS: &[&str] = &[
    "/",
    " per ",
    " ",
    ";",
    "; ",
    ",",
    "+",
    ":",
    " for ",
    " up to ",
    " burst ",
    "minute",
    "s",
    "ms",
    "us",
    "microseconds",
    "d",
    "w",
    "weeks",
    " calendar ",
    "day",
    "year",
    " Pacific/Apia",
    " UTC",
    "365 days",
    " token_bucket",
    " sliding_window",
    "_counter",
    " fixed_window",
    "ip",
    "ip/",
    "user",
    "identity",
    "global",
    "bearer",
    "header:",
    "cookie:",
    "session:",
    "path:",
    "route",
    "method",
    "x",
    "{",
    "}",
    "status:",
    "4xx",
    "!",
    "all",
    "success",
    "GET",
    "-",
    "_",
];

/// A function and examples of valid texts. The function parses a text, checks the properties, and returns whether the
/// text is valid.
type Reader = (fn(&str) -> bool, &'static [&'static str]);

const READERS: [Reader; 11] = [
    (quota, QUOTAS),
    (
        quotas,
        &[
            "5/second; 100/minute; 1000/day",
            "1/s;2/s;3/s;4/s;5/s;6/s;7/s;8/s",
            "5/m token_bucket; 7/d",
        ],
    ),
    (ban, &["10/hour for 15m up to 1d", "3/m for 10 seconds", "10000/365d for 1s up to 90 days"]),
    (window, &["500ms", "1m", "day", " 2 hours ", "31536000000000 microseconds", "52w"]),
    (
        round_trip::<KeyNotation>,
        &[
            "ip",
            "ip/48",
            "user+path:tenant",
            "cookie:sid+bearer+identity",
            "session:a:b+header:X-Y",
            "ip+json:/user/a~1b+form:email",
        ],
    ),
    (
        round_trip::<KeyPart>,
        &[
            "global",
            "ip/128",
            "header:X-Api-Key",
            "session:user_id",
            "cookie:sid",
            "path:größe",
            "json:/~0/0",
            "form:e mail",
        ],
    ),
    (
        round_trip::<Count>,
        &["all", "success", "failure", "status:401", "status:4xx", "status:599,!5xx,401"],
    ),
    (round_trip::<Algorithm>, &ALGORITHMS),
    (methods, &["GET", "POST, PUT", " POST , M-SEARCH "]),
    (choices, &["ip", "deny", "skip", "open", "closed"]),
    (name, &["login", "shop::cart::add#2", "api/v1", "größe"]),
];

/// The names of all algorithms.
const ALGORITHMS: [&str; Algorithm::NAMES.len()] = {
    let mut names = [""; Algorithm::NAMES.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = Algorithm::NAMES[index].1;
        index += 1;
    }
    names
};

/// Examples of quotas, with at least one for each algorithm.
pub const QUOTAS: &[&str] = &[
    "5/minute",
    "100/10s",
    "20 per 5 minutes",
    "1000/week",
    "1000/calendar day Europe/Berlin",
    "7 per calendar month",
    "5/minute fixed_window",
    "7/1500us sliding_window_counter",
    "100/second token_bucket burst 20",
    "2147483648/365 days",
];

#[derive(Debug)]
pub(super) struct Input {
    reader: usize,
    text: String,
}

#[derive(Default)]
pub(super) struct Grammar;

impl Target for Grammar {
    type Input = Input;

    const OUTCOMES: &'static [&'static str] = &[
        "Quota rejected",
        "Quota parsed",
        "Quotas rejected",
        "Quotas parsed",
        "Ban rejected",
        "Ban parsed",
        "window rejected",
        "window parsed",
        "KeyNotation rejected",
        "KeyNotation parsed",
        "KeyPart rejected",
        "KeyPart parsed",
        "Count rejected",
        "Count parsed",
        "Algorithm rejected",
        "Algorithm parsed",
        "Methods rejected",
        "Methods parsed",
        "MissingKey and OnError rejected",
        "MissingKey or OnError parsed",
        "name rejected",
        "name parsed",
    ];

    fn input(&self, random: &mut Random) -> Input {
        let reader = random.below(READERS.len());
        // In some runs, the examples come from a randomly chosen reader, so the reader under test may not parse
        // their notation.
        let (_, examples) =
            READERS[if random.one_in(8) { random.below(READERS.len()) } else { reader }];
        let text = TextSource { examples, fragments: FRAGMENTS }.string(random);
        Input { reader, text }
    }

    fn check(&mut self, Input { reader, text }: &Input) -> usize {
        let (read, _) = READERS[*reader];
        2 * reader + usize::from(read(text))
    }
}
