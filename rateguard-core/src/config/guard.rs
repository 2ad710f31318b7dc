//! `[guard]`: settings of the guard itself.

use std::time::Duration;

use actix_rateguard_grammar::{IPV6_PREFIXES, OnError};
use actix_rateguard_headers::HeaderDialect;

use super::{
    fields::{At, Reader, Value, read},
    limit::on_error,
    mistakes::Diagnostics,
    values::{boolean, list, made, table, time, whole, whole_32, word},
};
use crate::{
    ClientAddress, RejectionBody,
    guard::{DEADLINES, HttpSettings},
};

/// What is read when the guard is built, and only then.
#[derive(Clone, Debug, Default)]
pub(crate) struct StartupSettings {
    pub(crate) fail_closed_after: Option<Duration>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) max_in_flight: Option<usize>,
    pub(crate) denial_cache_ttl: Option<Duration>,
    pub(crate) replicas: Option<u32>,
    pub(crate) http: HttpSettings,
}

/// What has been read so far.
#[derive(Default)]
pub(super) struct ParsedGuard {
    pub(super) on_error: Option<OnError>,
    pub(super) at_start: StartupSettings,
    /// The settings of it that are there, and where.
    pub(super) places: Vec<(&'static str, usize)>,
    /// Whether something is wrong with them.
    is_wrong: bool,
}

const FIELDS: &[(&str, Reader<ParsedGuard>)] = &[
    ("on_error", |to, it, wrong| to.on_error = on_error(it, wrong).map(|it| it.value)),
    ("fail_closed_after", |to, it, wrong| {
        const FORM: &str = "legal here is a length of time, such as \"10m\"";
        let read = time(it, Duration::ZERO..=Duration::MAX, FORM, wrong);
        to.at_start.fail_closed_after = to.placed("fail_closed_after", read);
    }),
    ("deadline", |to, it, wrong| {
        const FORM: &str = "a deadline is from 1 millisecond to 60 seconds, such as \"100ms\"";
        let read = time(it, DEADLINES, FORM, wrong);
        to.at_start.deadline = to.placed("deadline", read);
    }),
    ("max_in_flight", |to, it, wrong| {
        let read =
            whole(it, 1..=u64::from(u32::MAX), "legal here are whole numbers from 1 on", wrong);
        let read = to.placed("max_in_flight", read);
        to.at_start.max_in_flight = read.and_then(|it| it.try_into().ok());
    }),
    ("denial_cache_ttl", |to, it, wrong| {
        const FORM: &str = "legal here is a length of time, such as \"250ms\", or 0 for not at all";
        let read = time(it, Duration::ZERO..=Duration::MAX, FORM, wrong);
        to.at_start.denial_cache_ttl = to.placed("denial_cache_ttl", read);
    }),
    ("replicas", |to, it, wrong| {
        let read = whole_32(it, 1..=u32::MAX, "legal here are whole numbers from 1 on", wrong);
        to.at_start.replicas = to.placed("replicas", read);
    }),
    ("client_address", |to, it, wrong| {
        let read = client_address(it, wrong);
        to.at_start.http.client_address = to.placed("client_address", read);
    }),
    ("headers", |to, it, wrong| {
        let read = headers(it, wrong);
        to.at_start.http.headers = to.placed("headers", read);
    }),
    ("retry_jitter", |to, it, wrong| {
        const FORM: &str = "legal here is a length of time up to an hour, such as \"5s\"";
        let read = time(it, Duration::ZERO..=Duration::from_secs(3_600), FORM, wrong);
        to.at_start.http.retry_jitter = to.placed("retry_jitter", read);
    }),
    ("rejection_body", |to, it, wrong| {
        let read = word(it, BODIES, wrong);
        to.at_start.http.rejection_body = to.placed("rejection_body", read);
    }),
];

const DIALECTS: &[(&str, HeaderDialect)] = &[
    ("x-ratelimit", HeaderDialect::XRateLimit),
    ("x-ratelimit-epoch", HeaderDialect::XRateLimitEpoch),
    ("draft", HeaderDialect::Draft),
];

const BODIES: &[(&str, RejectionBody)] = &[
    ("negotiated", RejectionBody::Negotiated),
    ("problem_details", RejectionBody::ProblemDetails),
    ("text", RejectionBody::Text),
];

impl ParsedGuard {
    fn placed<T>(&mut self, name: &'static str, read: Option<At<T>>) -> Option<T> {
        let At { value, at } = read?;
        self.places.push((name, at));
        Some(value)
    }

    /// What may change at start alone and is not as it was then is a mistake. `at` is where what is missing could be.
    pub(super) fn refuse_changes(
        &self,
        earlier: &StartupSettings,
        at: usize,
        mistakes: &mut Diagnostics<'_>,
    ) {
        if self.is_wrong {
            return;
        }
        let (old, new) = (earlier, &self.at_start);
        for (name, is_changed) in [
            ("fail_closed_after", old.fail_closed_after != new.fail_closed_after),
            ("deadline", old.deadline != new.deadline),
            ("max_in_flight", old.max_in_flight != new.max_in_flight),
            ("denial_cache_ttl", old.denial_cache_ttl != new.denial_cache_ttl),
            ("replicas", old.replicas != new.replicas),
            ("client_address", old.http.client_address != new.http.client_address),
            ("headers", old.http.headers != new.http.headers),
            ("retry_jitter", old.http.retry_jitter != new.http.retry_jitter),
            ("rejection_body", old.http.rejection_body != new.http.rejection_body),
        ] {
            if is_changed {
                let place = self.places.iter().find(|(known, _)| *known == name);
                mistakes.add(
                    place.map_or(at, |(_, at)| *at),
                    format!(
                        "`{name}` of `[guard]` is read when the program starts, and is not as it was then; put it back, or restart the program"
                    ),
                );
            }
        }
    }
}

pub(super) fn guard(value: &Value<'_>, mistakes: &mut Diagnostics<'_>) -> ParsedGuard {
    const FORM: &str =
        "this is a table: `[guard]`, with `on_error = \"closed\"` below, for example";
    let mut written = ParsedGuard::default();
    let earlier = mistakes.len();
    if let Some(table) = table(value, FORM, mistakes) {
        read(&mut written, FIELDS, table, mistakes);
    }
    written.is_wrong = mistakes.len() > earlier;
    written
}

fn headers(value: &Value<'_>, mistakes: &mut Diagnostics<'_>) -> Option<At<Vec<HeaderDialect>>> {
    const FORM: &str = "dialects are a list, such as [\"x-ratelimit\", \"draft\"]";
    let (at, earlier) = (value.span().start, mistakes.len());
    let dialects = list(value, FORM, mistakes).iter();
    let dialects: Vec<_> =
        dialects.filter_map(|it| Some(word(it, DIALECTS, mistakes)?.value)).collect();
    if dialects.contains(&HeaderDialect::XRateLimit)
        && dialects.contains(&HeaderDialect::XRateLimitEpoch)
    {
        mistakes.add(at, crate::BuildError::Headers);
    }
    (mistakes.len() == earlier).then_some(At { value: dialects, at })
}

/// What has been read of `client_address` so far.
#[derive(Default)]
struct ParsedClientAddress {
    behind: Vec<String>,
    header: Option<String>,
    ipv6_prefix: Option<u8>,
    max_ipv6_keys_per_48: Option<u32>,
    max_ipv6_keys_per_32: Option<u32>,
    trust_unix_sockets: bool,
}

const MAX_KEYS: &str = "legal here are whole numbers up to 4294967295, or 0 for no limit";

const ADDRESS_FIELDS: &[(&str, Reader<ParsedClientAddress>)] = &[
    ("behind", |to, it, wrong| {
        const FORM: &str = "proxies are a list of text, such as [\"10.0.0.0/8\", \"fd00::/8\"]";
        for proxy in list(it, FORM, wrong) {
            let proxy = made(proxy, FORM, wrong, |text| {
                ClientAddress::behind([text]).map(|_| text.to_owned())
            });
            to.behind.extend(proxy.map(|it| it.value));
        }
    }),
    ("header", |to, it, wrong| {
        let header = made(it, "a header is text in quotes, such as \"Forwarded\"", wrong, |text| {
            ClientAddress::peer().header(text).map(|_| text.to_owned())
        });
        to.header = header.map(|it| it.value);
    }),
    ("ipv6_prefix", |to, it, wrong| {
        let legal = u32::from(*IPV6_PREFIXES.start())..=u32::from(*IPV6_PREFIXES.end());
        let bits = whole_32(it, legal, "legal here are 32 to 128 bits", wrong);
        to.ipv6_prefix = bits.and_then(|it| it.value.try_into().ok());
    }),
    ("max_ipv6_keys_per_48", |to, it, wrong| {
        to.max_ipv6_keys_per_48 = whole_32(it, 0..=u32::MAX, MAX_KEYS, wrong).map(|it| it.value);
    }),
    ("max_ipv6_keys_per_32", |to, it, wrong| {
        to.max_ipv6_keys_per_32 = whole_32(it, 0..=u32::MAX, MAX_KEYS, wrong).map(|it| it.value);
    }),
    ("trust_unix_sockets", |to, it, wrong| {
        to.trust_unix_sockets = boolean(it, wrong).is_some_and(|it| it.value);
    }),
];

fn client_address(value: &Value<'_>, mistakes: &mut Diagnostics<'_>) -> Option<At<ClientAddress>> {
    const FORM: &str =
        "this is a table: `[guard.client_address]`, with `behind = [\"10.0.0.0/8\"]` below";
    let (at, earlier) = (value.span().start, mistakes.len());
    let mut written = ParsedClientAddress::default();
    read(&mut written, ADDRESS_FIELDS, table(value, FORM, mistakes)?, mistakes);
    if mistakes.len() > earlier {
        return None;
    }
    // All of it was checked when it was read.
    let mut rule = ClientAddress::behind(&written.behind).ok()?;
    if let Some(header) = &written.header {
        rule = rule.header(header).ok()?;
    }
    if let Some(bits) = written.ipv6_prefix {
        rule = rule.ipv6_prefix(bits).ok()?;
    }
    if let Some(max) = written.max_ipv6_keys_per_48 {
        rule = rule.max_ipv6_keys_per_48(max);
    }
    if let Some(max) = written.max_ipv6_keys_per_32 {
        rule = rule.max_ipv6_keys_per_32(max);
    }
    if written.trust_unix_sockets {
        rule = rule.trust_unix_sockets();
    }
    Some(At { value: rule, at })
}
