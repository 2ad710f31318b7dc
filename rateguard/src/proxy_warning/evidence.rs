//! Determines what a single request shows about proxies that the rule for client addresses does not know.

use std::{borrow::Cow, net::IpAddr};

use actix_rateguard_core::adapter::ResolvedClient;
use actix_web::http::header::{FORWARDED, HeaderMap, HeaderName};

use crate::ClientAddress;

/// The headers in which proxies send the address of a client, with the names for the warning. If a request has several
/// of them, the warning names the header that comes first in this list. Proxies usually append an address to the first
/// two headers. A proxy may pass on the other four headers unchanged, so a client may have written them.
static FORWARDING_HEADERS: [(HeaderName, &str); 6] = [
    (HeaderName::from_static("x-forwarded-for"), "X-Forwarded-For"),
    (FORWARDED, "Forwarded"),
    (HeaderName::from_static("x-real-ip"), "X-Real-IP"),
    (HeaderName::from_static("cf-connecting-ip"), "CF-Connecting-IP"),
    (HeaderName::from_static("true-client-ip"), "True-Client-IP"),
    (HeaderName::from_static("fly-client-ip"), "Fly-Client-IP"),
];

/// What a request shows about unknown proxies.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    /// The request has a forwarding header. Because of this mistake, it is nevertheless counted by the address of a
    /// proxy.
    Hidden(Mistake),
    /// The request is counted by the address of its client.
    Known,
    /// The request has a private address and no forwarding header. It may come through a proxy that sends no header, or
    /// it may come from a health check, a developer, or another service.
    None,
}

/// A mistake in the rule for client addresses, with the name of the forwarding header that the request has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    /// The rule trusts no proxy.
    NoProxies(Cow<'static, str>),
    /// The rule trusts proxies, but not the peer of this request.
    OtherProxies(Cow<'static, str>),
    /// The rule reads another header, which the request does not have.
    OtherHeader(Cow<'static, str>),
}

impl Evidence {
    /// Returns the evidence of a request with these headers. `client` returns the client that the rule determines.
    pub(super) fn of(
        rule: &ClientAddress,
        peer: Option<IpAddr>,
        client: impl FnOnce() -> ResolvedClient,
        headers: &HeaderMap,
    ) -> Self {
        let header = FORWARDING_HEADERS.iter().find(|(name, _)| headers.contains_key(name));
        let header = header.map(|(_, name)| Cow::Borrowed(*name));
        let is_public = peer.is_some_and(|peer| !is_private(peer));
        if rule.is_peer() {
            return match header {
                Some(header) => Self::Hidden(Mistake::NoProxies(header)),
                None if is_public => Self::Known,
                None => Self::None,
            };
        }
        let read_header = Some(rule.header_name()).filter(|name| headers.contains_key(*name));
        let client = client();
        let mistake = if client.is_proxy {
            // If the request has the header of the rule, the rule is correct, and the proxy itself is the client.
            header.filter(|_| read_header.is_none()).map(Mistake::OtherHeader)
        } else if client.address != peer || is_public {
            // The rule has found a client behind the peer, or the peer has a public address. A peer with a public
            // address may be a client that connects directly, and such a client can send any header.
            return Self::Known;
        } else {
            header.or_else(|| read_header.map(usual_form)).map(Mistake::OtherProxies)
        };
        mistake.map_or(Self::None, Self::Hidden)
    }
}

impl Mistake {
    /// Returns the warning, with the setting that corrects the mistake. `requests` is the number of requests that show
    /// the same mistake, and `peer` is the peer of one of them. The warning contains the address of the peer only if
    /// the address is private, because a public address may be the address of a client.
    pub(super) fn message(
        &self,
        rule: &ClientAddress,
        peer: Option<IpAddr>,
        requests: u32,
    ) -> String {
        let private = peer.filter(|peer| is_private(*peer)).map(|peer| peer.to_string());
        let from = private.as_ref().map_or(String::new(), |it| format!(" from {it}"));
        let proxies = private.as_ref().map_or("[…]".to_owned(), |it| format!("[\"{it}\"]"));
        let trusting = match peer {
            Some(_) => format!("ClientAddress::behind({proxies})?"),
            None => "ClientAddress::peer().trust_unix_sockets()".to_owned(),
        };
        let reading = |header: &str| match header {
            "X-Forwarded-For" => String::new(),
            header => format!(".header(\"{header}\")?"),
        };
        match self {
            Self::NoProxies(header) => format!(
                "a request{from} has the header `{header}`, but no proxy is trusted, so all clients behind a proxy are limited as one client. If a proxy sets this header, configure it with `RateGuard::builder().client_address({trusting}{})`",
                reading(header)
            ),
            Self::OtherProxies(header) => {
                let (origin, setting) = match &private {
                    Some(peer) => (
                        format!("from peers that are not trusted proxies, such as {peer}"),
                        format!("add `\"{peer}\"` to `ClientAddress::behind`"),
                    ),
                    None => (
                        "over Unix sockets, which are not trusted".to_owned(),
                        "call `.trust_unix_sockets()`".to_owned(),
                    ),
                };
                format!(
                    "at least {requests} requests have the header `{header}` and come {origin}, so all clients behind one peer are limited as one client. If the peers are proxies that set this header, trust them: {setting}"
                )
            }
            Self::OtherHeader(header) => format!(
                "at least {requests} requests come from trusted proxies without the header `{}`, but with `{header}`, so all clients behind one proxy are limited as one client. If the proxies set `{header}`, read it: `.header(\"{header}\")?`",
                usual_form(rule.header_name())
            ),
        }
    }
}

/// Returns the name of a header as it is usually written, such as `X-Client` for `x-client`.
fn usual_form(name: &str) -> Cow<'static, str> {
    if let Some((_, usual)) = FORWARDING_HEADERS.iter().find(|(it, _)| it.as_str() == name) {
        return Cow::Borrowed(usual);
    }
    let mut usual = name.to_owned();
    let mut is_start = true;
    // `HeaderName` allows only ASCII, so each byte is one character.
    for (index, byte) in name.bytes().enumerate() {
        if is_start {
            usual[index..=index].make_ascii_uppercase();
        }
        is_start = byte == b'-';
    }
    Cow::Owned(usual)
}

/// Returns whether the address is not routed on the Internet: a private, shared, unique local, link-local or loopback
/// address.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            // 100.64.0.0/10 is the shared address space (RFC 6598), which cloud networks use for load balancers.
            let is_shared = matches!(v4.octets(), [100, 64..128, ..]);
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || is_shared
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_loopback() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn headers(names: &[&'static str]) -> HeaderMap {
        let header =
            |name: &&'static str| (HeaderName::from_static(name), "198.51.100.1".parse().unwrap());
        names.iter().map(header).collect()
    }

    /// Returns the evidence of a request. The rule determines the client of the request.
    fn evidence(rule: &ClientAddress, peer: &str, names: &[&'static str]) -> Evidence {
        let (peer, headers) = (peer.parse().ok(), headers(names));
        let lines = headers.get_all(rule.header_name()).map(HeaderValue::as_bytes);
        let client = rule.trace_address(peer, lines.collect::<Vec<_>>(), &mut ());
        Evidence::of(rule, peer, || client, &headers)
    }

    #[test]
    fn request_without_forwarding_header_shows_nothing_from_a_private_address() {
        let proxies = ClientAddress::behind(["10.0.0.7"]).unwrap();
        for rule in [ClientAddress::peer(), proxies] {
            for peer in ["127.0.0.1", "::1", "10.0.0.7", "10.0.0.8", "fd00::1", "fe80::1", ""] {
                assert_eq!(evidence(&rule, peer, &[]), Evidence::None, "{peer}");
            }
            assert_eq!(evidence(&rule, "192.0.2.1", &[]), Evidence::Known);
            assert_eq!(evidence(&rule, "2001:db8::1", &[]), Evidence::Known);
        }
    }

    #[test]
    fn header_hides_the_client_if_no_proxy_is_trusted() {
        for peer in ["127.0.0.1", "172.17.0.1", "100.64.0.1", "192.0.2.1", ""] {
            for (name, shown) in &FORWARDING_HEADERS {
                let names = [&*name.as_str().to_owned().leak()];
                let expected = Evidence::Hidden(Mistake::NoProxies((*shown).into()));
                assert_eq!(evidence(&ClientAddress::peer(), peer, &names), expected);
            }
        }
    }

    #[test]
    fn header_hides_the_client_if_the_rule_trusts_another_proxy_or_reads_another_header() {
        let rule = ClientAddress::behind(["10.0.0.7"]).unwrap().header("X-Client").unwrap();
        let other_proxy = Evidence::Hidden(Mistake::OtherProxies("Forwarded".into()));
        let custom_header = Evidence::Hidden(Mistake::OtherProxies("X-Client".into()));
        let other_header = Evidence::Hidden(Mistake::OtherHeader("Forwarded".into()));
        for (peer, names, expected) in [
            ("10.0.0.8", &["forwarded"][..], &other_proxy),
            ("10.0.0.8", &["forwarded", "x-client"], &other_proxy),
            ("10.0.0.8", &["x-client"], &custom_header),
            ("", &["forwarded"], &other_proxy),
            ("10.0.0.7", &["forwarded"], &other_header),
            ("10.0.0.7", &["x-client"], &Evidence::Known),
            ("10.0.0.7", &["forwarded", "x-client"], &Evidence::Known),
            // A client with a public address may have forged the header.
            ("192.0.2.1", &["forwarded"], &Evidence::Known),
        ] {
            assert_eq!(evidence(&rule, peer, names), *expected, "{peer} {names:?}");
        }
    }

    #[test]
    fn header_names_have_their_usual_form() {
        for (name, usual) in [
            ("x-forwarded-for", "X-Forwarded-For"),
            ("cf-connecting-ip", "CF-Connecting-IP"),
            ("x-client", "X-Client"),
            ("client", "Client"),
            ("x--c", "X--C"),
        ] {
            assert_eq!(usual_form(name), usual);
        }
    }

    #[test]
    fn message_names_header_and_setting_but_no_public_address() {
        let rule = ClientAddress::behind(["10.0.0.7"]).unwrap().header("X-Client").unwrap();
        for (mistake, peer, part) in [
            (
                Mistake::NoProxies("X-Forwarded-For".into()),
                "10.0.0.8",
                r#"`RateGuard::builder().client_address(ClientAddress::behind(["10.0.0.8"])?)`"#,
            ),
            (
                Mistake::NoProxies("CF-Connecting-IP".into()),
                "192.0.2.1",
                r#"(ClientAddress::behind([…])?.header("CF-Connecting-IP")?)"#,
            ),
            (
                Mistake::NoProxies("Forwarded".into()),
                "",
                "peer().trust_unix_sockets().header(\"Forwarded\")?",
            ),
            (
                Mistake::OtherProxies("Forwarded".into()),
                "fd00::1",
                r#"add `"fd00::1"` to `ClientAddress::behind`"#,
            ),
            (
                Mistake::OtherProxies("Forwarded".into()),
                "fd00::1",
                "at least 120 requests have the header `Forwarded`",
            ),
            (Mistake::OtherProxies("Forwarded".into()), "", "come over Unix sockets"),
            (
                Mistake::OtherHeader("Forwarded".into()),
                "10.0.0.7",
                "at least 120 requests come from trusted proxies without the header `X-Client`",
            ),
            (Mistake::OtherHeader("Forwarded".into()), "10.0.0.7", r#"`.header("Forwarded")?`"#),
        ] {
            let message = mistake.message(&rule, peer.parse().ok(), 120);
            assert!(message.contains(part), "{message}");
            assert!(!message.contains("192.0.2.1"), "{message}");
        }
    }
}
