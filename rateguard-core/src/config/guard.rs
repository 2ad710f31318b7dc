//! Parses the table `[guard]`, whose settings apply to the whole guard.

use std::time::Duration;

use actix_rateguard_grammar::{IPV6_PREFIXES, OnError};
use actix_rateguard_headers::HeaderDialect;

use super::{
    diagnostics::Diagnostics,
    fields::{Located, Reader, Value, read},
    values::{boolean, duration, integer, integer_u32, keyword, list, parse, parse_with, table},
};
use crate::{
    ClientAddress, RejectionBody,
    guard::{
        HttpSettings, MAX_KEY_BODY, MAX_RETRY_JITTER,
        bounds::{DEADLINES, MAX_IN_FLIGHT, MAX_WAITING},
    },
};

/// The settings that are read when the guard is built and that cannot change while the program runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct StartupSettings {
    pub(crate) fail_closed_after: Option<Duration>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) max_in_flight: Option<usize>,
    pub(crate) max_waiting: Option<usize>,
    pub(crate) max_waiting_per_key: Option<usize>,
    pub(crate) denial_cache_ttl: Option<Duration>,
    pub(crate) replicas: Option<u32>,
    pub(crate) overrides: Option<bool>,
    pub(crate) http: HttpSettings,
}

/// The fields of the table `[guard]` that have been parsed until now.
#[derive(Default)]
pub(super) struct ParsedGuard {
    pub(super) on_error: Option<OnError>,
    pub(super) startup: StartupSettings,
    /// The names of the startup settings in the file, with the byte offset of each value.
    offsets: Vec<(&'static str, usize)>,
    has_errors: bool,
}

const FIELDS: &[(&str, Reader<ParsedGuard>)] = &[
    ("on_error", |to, value, diagnostics| {
        to.on_error = parse(value, diagnostics).map(|it| it.value);
    }),
    ("fail_closed_after", |to, value, diagnostics| {
        const EXPECTED: &str = "expected a duration such as \"10m\"";
        let parsed = duration(value, Duration::ZERO..=Duration::MAX, EXPECTED, diagnostics);
        to.startup.fail_closed_after = to.record("fail_closed_after", parsed);
    }),
    ("deadline", |to, value, diagnostics| {
        const EXPECTED: &str =
            "expected a deadline from 1 millisecond to 60 seconds, such as \"100ms\"";
        let parsed = duration(value, DEADLINES, EXPECTED, diagnostics);
        to.startup.deadline = to.record("deadline", parsed);
    }),
    ("max_in_flight", |to, value, diagnostics| {
        let parsed = integer(value, MAX_IN_FLIGHT, AT_LEAST_ONE, diagnostics);
        let parsed = to.record("max_in_flight", parsed);
        to.startup.max_in_flight = parsed.and_then(|it| it.try_into().ok());
    }),
    ("max_waiting", |to, value, diagnostics| {
        let parsed = integer(value, MAX_WAITING, WHOLE_NUMBER, diagnostics);
        let parsed = to.record("max_waiting", parsed);
        to.startup.max_waiting = parsed.and_then(|it| it.try_into().ok());
    }),
    ("max_waiting_per_key", |to, value, diagnostics| {
        let parsed = integer(value, MAX_WAITING, WHOLE_NUMBER, diagnostics);
        let parsed = to.record("max_waiting_per_key", parsed);
        to.startup.max_waiting_per_key = parsed.and_then(|it| it.try_into().ok());
    }),
    ("denial_cache_ttl", |to, value, diagnostics| {
        const EXPECTED: &str = "expected a duration such as \"250ms\", or 0 for no denial cache";
        let parsed = duration(value, Duration::ZERO..=Duration::MAX, EXPECTED, diagnostics);
        to.startup.denial_cache_ttl = to.record("denial_cache_ttl", parsed);
    }),
    ("replicas", |to, value, diagnostics| {
        let parsed = integer_u32(value, 1..=u32::MAX, AT_LEAST_ONE, diagnostics);
        to.startup.replicas = to.record("replicas", parsed);
    }),
    ("overrides", |to, value, diagnostics| {
        let parsed = boolean(value, TRUE_OR_FALSE, diagnostics);
        to.startup.overrides = to.record("overrides", parsed);
    }),
    ("client_address", |to, value, diagnostics| {
        let parsed = client_address(value, diagnostics);
        to.startup.http.client_address = to.record("client_address", parsed);
    }),
    ("headers", |to, value, diagnostics| {
        let parsed = headers(value, diagnostics);
        to.startup.http.headers = to.record("headers", parsed);
    }),
    ("retry_jitter", |to, value, diagnostics| {
        const EXPECTED: &str = "expected a whole number of seconds, up to 1 hour, such as \"5s\"";
        let parsed = duration(value, Duration::ZERO..=MAX_RETRY_JITTER, EXPECTED, diagnostics);
        let has_fraction = |jitter: &Located<Duration>| jitter.value.subsec_nanos() > 0;
        if let Some(Located { location, .. }) = parsed.as_ref().filter(|it| has_fraction(it)) {
            diagnostics.add(*location, EXPECTED);
        }
        to.startup.http.retry_jitter = to.record("retry_jitter", parsed);
    }),
    ("max_key_body", |to, value, diagnostics| {
        const EXPECTED: &str = "expected a number of bytes from 1 to 1048576, without quotes";
        let parsed = integer(value, MAX_KEY_BODY, EXPECTED, diagnostics);
        let parsed = to.record("max_key_body", parsed);
        to.startup.http.max_key_body = parsed.and_then(|it| it.try_into().ok());
    }),
    ("rejection_body", |to, value, diagnostics| {
        let parsed = keyword(value, BODIES, diagnostics);
        to.startup.http.rejection_body = to.record("rejection_body", parsed);
    }),
];

const TRUE_OR_FALSE: &str = "expected true or false, without quotes";
const AT_LEAST_ONE: &str = "expected a whole number of at least 1";
const WHOLE_NUMBER: &str = "expected a whole number of requests, such as 100, or 0 for none";

const BODIES: &[(&str, RejectionBody)] = &[
    ("negotiated", RejectionBody::Negotiated),
    ("problem_details", RejectionBody::ProblemDetails),
    ("text", RejectionBody::Text),
];

impl ParsedGuard {
    /// Stores the byte offset of a startup setting, and returns the value of the setting.
    fn record<T>(&mut self, name: &'static str, parsed: Option<Located<T>>) -> Option<T> {
        let Located { value, location } = parsed?;
        self.offsets.push((name, location));
        Some(value)
    }

    /// Rejects changes of startup settings. If a setting is no longer in the file, the error is reported at
    /// `offset`.
    pub(super) fn reject_changes(
        &self,
        old: &StartupSettings,
        offset: usize,
        diagnostics: &mut Diagnostics<'_>,
    ) {
        if self.has_errors {
            return;
        }
        let new = &self.startup;
        for (name, is_changed) in [
            ("fail_closed_after", old.fail_closed_after != new.fail_closed_after),
            ("deadline", old.deadline != new.deadline),
            ("max_in_flight", old.max_in_flight != new.max_in_flight),
            ("max_waiting", old.max_waiting != new.max_waiting),
            ("max_waiting_per_key", old.max_waiting_per_key != new.max_waiting_per_key),
            ("denial_cache_ttl", old.denial_cache_ttl != new.denial_cache_ttl),
            ("replicas", old.replicas != new.replicas),
            ("overrides", old.overrides != new.overrides),
            ("client_address", old.http.client_address != new.http.client_address),
            ("headers", old.http.headers != new.http.headers),
            ("retry_jitter", old.http.retry_jitter != new.http.retry_jitter),
            ("max_key_body", old.http.max_key_body != new.http.max_key_body),
            ("rejection_body", old.http.rejection_body != new.http.rejection_body),
        ] {
            if is_changed {
                let recorded = self.offsets.iter().find(|(setting, _)| *setting == name);
                diagnostics.add(
                    recorded.map_or(offset, |(_, offset)| *offset),
                    format!(
                        "`{name}` of `[guard]` cannot change while the program runs; restore it, or restart the program"
                    ),
                );
            }
        }
    }
}

pub(super) fn guard(value: &Value<'_>, diagnostics: &mut Diagnostics<'_>) -> ParsedGuard {
    const EXPECTED: &str =
        "expected a table: `[guard]`, with fields such as `on_error = \"closed\"`";
    let mut parsed = ParsedGuard::default();
    let count = diagnostics.len();
    if let Some(table) = table(value, EXPECTED, diagnostics) {
        read(&mut parsed, FIELDS, table, diagnostics);
    }
    parsed.has_errors = diagnostics.len() > count;
    parsed
}

fn headers(
    value: &Value<'_>,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<Located<Vec<HeaderDialect>>> {
    const EXPECTED: &str = "expected a list of dialects, such as [\"x-ratelimit\", \"draft\"]";
    let (offset, count) = (value.span().start, diagnostics.len());
    let names = HeaderDialect::ALL.map(|dialect| (dialect.name(), dialect));
    let dialects = list(value, EXPECTED, diagnostics).iter();
    let dialects: Vec<_> =
        dialects.filter_map(|it| Some(keyword(it, &names, diagnostics)?.value)).collect();
    if let Some(dialects) = HeaderDialect::find_conflict(&dialects) {
        diagnostics.add(offset, crate::BuildError::Headers { dialects });
    }
    (diagnostics.len() == count).then_some(Located { value: dialects, location: offset })
}

/// The fields of `client_address` that have been parsed until now.
#[derive(Default)]
struct ParsedClientAddress {
    behind: Vec<String>,
    header: Option<String>,
    ipv6_prefix: Option<u8>,
    max_ipv6_keys_per_48: Option<u32>,
    max_ipv6_keys_per_32: Option<u32>,
    trust_unix_sockets: bool,
}

const MAX_KEYS: &str = "expected a whole number up to 4294967295, or 0 for no maximum";

const ADDRESS_FIELDS: &[(&str, Reader<ParsedClientAddress>)] = &[
    ("behind", |to, value, diagnostics| {
        const EXPECTED: &str =
            "expected a list of proxies in quotes, such as [\"10.0.0.0/8\", \"fd00::/8\"]";
        for proxy in list(value, EXPECTED, diagnostics) {
            let proxy = parse_with(proxy, EXPECTED, diagnostics, |text| {
                ClientAddress::behind([text]).map(|_| text.to_owned())
            });
            to.behind.extend(proxy.map(|it| it.value));
        }
    }),
    ("header", |to, value, diagnostics| {
        const EXPECTED: &str = "expected the name of a header in quotes, such as \"Forwarded\"";
        let header = parse_with(value, EXPECTED, diagnostics, |text| {
            ClientAddress::peer().header(text).map(|_| text.to_owned())
        });
        to.header = header.map(|it| it.value);
    }),
    ("ipv6_prefix", |to, value, diagnostics| {
        const EXPECTED: &str = "expected an IPv6 prefix length from 32 to 128 bits";
        let range = u32::from(*IPV6_PREFIXES.start())..=u32::from(*IPV6_PREFIXES.end());
        let bits = integer_u32(value, range, EXPECTED, diagnostics);
        to.ipv6_prefix = bits.and_then(|it| it.value.try_into().ok());
    }),
    ("max_ipv6_keys_per_48", |to, value, diagnostics| {
        let max = integer_u32(value, 0..=u32::MAX, MAX_KEYS, diagnostics);
        to.max_ipv6_keys_per_48 = max.map(|it| it.value);
    }),
    ("max_ipv6_keys_per_32", |to, value, diagnostics| {
        let max = integer_u32(value, 0..=u32::MAX, MAX_KEYS, diagnostics);
        to.max_ipv6_keys_per_32 = max.map(|it| it.value);
    }),
    ("trust_unix_sockets", |to, value, diagnostics| {
        to.trust_unix_sockets =
            boolean(value, TRUE_OR_FALSE, diagnostics).is_some_and(|it| it.value);
    }),
];

fn client_address(
    value: &Value<'_>,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<Located<ClientAddress>> {
    const EXPECTED: &str = "expected a table: `[guard.client_address]`, with fields such as `behind = [\"10.0.0.0/8\"]`";
    let (offset, count) = (value.span().start, diagnostics.len());
    let mut parsed = ParsedClientAddress::default();
    read(&mut parsed, ADDRESS_FIELDS, table(value, EXPECTED, diagnostics)?, diagnostics);
    if diagnostics.len() > count {
        return None;
    }
    // The fields were validated when they were parsed, so `ok()` never discards an error.
    let mut rule = ClientAddress::behind(&parsed.behind).ok()?;
    if let Some(header) = &parsed.header {
        rule = rule.header(header).ok()?;
    }
    if let Some(bits) = parsed.ipv6_prefix {
        rule = rule.ipv6_prefix(bits).ok()?;
    }
    if let Some(max) = parsed.max_ipv6_keys_per_48 {
        rule = rule.max_ipv6_keys_per_48(max);
    }
    if let Some(max) = parsed.max_ipv6_keys_per_32 {
        rule = rule.max_ipv6_keys_per_32(max);
    }
    if parsed.trust_unix_sockets {
        rule = rule.trust_unix_sockets();
    }
    Some(Located { value: rule, location: offset })
}
