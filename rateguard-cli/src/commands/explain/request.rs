//! The text with which a user describes a request, such as `GET /search from 192.0.2.7 as ann`.

use std::{net::IpAddr, str::FromStr};

use actix_rateguard_core::{
    AddressTrace, ClientAddress,
    adapter::{AddressTraceRecorder, Network, ResolvedClient},
};

/// The notation of a request, for messages.
pub(super) const FORM: &str =
    "METHOD PATH [from ADDRESS] [via PROXY…] [as USER] [with HEADER: VALUE]…";

/// The name and the value of a header.
type Header = (String, String);

/// A request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RequestText {
    pub(super) method: String,
    pub(super) path: String,
    /// The address of the client.
    address: Option<IpAddr>,
    /// The proxies between the client and the server, in the order of the request.
    proxies: Vec<IpAddr>,
    pub(super) user: Option<String>,
    headers: Vec<Header>,
}

impl FromStr for RequestText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (head, headers) = split_headers(text)?;
        let mut words = head.split_whitespace();
        let expected = || format!("expected a request as {FORM}");
        let method =
            words.next().filter(|it| it.chars().all(|it| it.is_ascii_uppercase() || it == '-'));
        let method = method.ok_or_else(expected)?.to_owned();
        let path = words.next().filter(|it| it.starts_with('/')).ok_or_else(expected)?.to_owned();
        let mut request =
            Self { method, path, address: None, proxies: Vec::new(), user: None, headers };
        let mut clause = "";
        for word in words {
            match (clause, word) {
                (_, "from" | "via" | "as") if !(clause == "as" && request.user.is_none()) => {
                    clause = word
                }
                ("from", word) if request.address.is_none() => {
                    request.address = Some(parse_address(word)?)
                }
                ("via", word) => request.proxies.push(parse_address(word)?),
                ("as", word) if request.user.is_none() => request.user = Some(word.to_owned()),
                _ => return Err(format!("{}, found the word `{word}`", expected())),
            }
        }
        if request.address.is_none() && !request.proxies.is_empty() {
            return Err(
                "expected `from ADDRESS` before `via`, found no address of the client".to_owned()
            );
        }
        Ok(request)
    }
}

/// Splits the text before the first header, and returns the headers. The value of a header may contain spaces.
fn split_headers(text: &str) -> Result<(&str, Vec<Header>), String> {
    let mut parts = text.split(" with ");
    let head = parts.next().unwrap_or_default();
    let mut headers: Vec<Header> = Vec::new();
    for part in parts {
        let is_token = |it: char| it.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(it);
        let header =
            part.split_once(':').filter(|(name, _)| !name.is_empty() && name.chars().all(is_token));
        match (header, headers.last_mut()) {
            (Some((name, value)), _) => headers.push((name.to_owned(), value.trim().to_owned())),
            // The value of the previous header contains the word.
            (None, Some((_, value))) => value.extend([" with ", part]),
            (None, None) => return Err("expected `with HEADER: VALUE`, found no header".to_owned()),
        }
    }
    Ok((head, headers))
}

fn parse_address(word: &str) -> Result<IpAddr, String> {
    word.parse().map_err(|_| format!("expected an IPv4 or IPv6 address, found `{word}`"))
}

impl RequestText {
    /// Returns the values of a header, in the order of the request.
    pub(super) fn header(&self, name: &str) -> impl Iterator<Item = &str> {
        let values =
            self.headers.iter().filter(move |(header, _)| header.eq_ignore_ascii_case(name));
        values.map(|(_, value)| value.as_str())
    }

    /// Whether the text names proxies.
    pub(super) fn has_proxies(&self) -> bool {
        !self.proxies.is_empty()
    }

    /// Returns the client that the rule finds, and how it finds the client. `None` if the text has no address.
    pub(super) fn client(&self, rule: &ClientAddress) -> Option<(ResolvedClient, AddressTrace)> {
        let address = self.address?;
        // The server sees the last proxy as its peer. Each proxy appends the address of its own peer to the header.
        let hops: Vec<IpAddr> =
            std::iter::once(address).chain(self.proxies.iter().copied()).collect();
        let (peer, appended) = hops.split_last()?;
        let is_forwarded = rule.header_name() == "forwarded";
        let entry = |hop: &IpAddr| match (is_forwarded, hop) {
            (false, hop) => hop.to_string(),
            (true, IpAddr::V4(v4)) => format!("for={v4}"),
            (true, IpAddr::V6(v6)) => format!("for=\"[{v6}]\""),
        };
        let sent = self.header(rule.header_name()).map(str::to_owned);
        let lines: Vec<String> = sent.chain(appended.iter().map(entry)).collect();
        let mut recorder = AddressTraceRecorder::default();
        let client =
            rule.trace_address(Some(*peer), lines.iter().map(String::as_bytes), &mut recorder);
        let network = Network::of(client.address, rule.ipv6_bits());
        let header = (!rule.is_peer()).then(|| rule.header_name());
        Some((client, recorder.into_trace(client, header, network)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_clauses_are_read() {
        let request: RequestText = "GET /a?b=c from 192.0.2.7 via 10.0.0.1 10.0.0.2 as ann with X-Plan: pro with all with Cookie: a=b"
            .parse()
            .unwrap();
        assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/a?b=c"));
        assert_eq!((request.proxies.len(), request.user.as_deref()), (2, Some("ann")));
        assert_eq!(request.header("x-plan").collect::<Vec<_>>(), ["pro with all"]);
        assert_eq!(request.header("cookie").collect::<Vec<_>>(), ["a=b"]);
    }

    #[test]
    fn user_may_have_the_name_of_a_clause() {
        let request: RequestText = "GET / as from".parse().unwrap();
        assert_eq!(request.user.as_deref(), Some("from"));
    }

    #[test]
    fn invalid_requests_are_rejected() {
        for text in [
            "",
            "GET",
            "get /",
            "GET search",
            "GET / 192.0.2.7",
            "GET / from localhost",
            "GET / via 10.0.0.1",
            "GET / from 1.1.1.1 2.2.2.2",
            "GET / with plan",
        ] {
            assert!(text.parse::<RequestText>().is_err(), "{text}");
        }
    }

    #[test]
    fn client_behind_proxies_is_found_by_the_rule() {
        let request: RequestText =
            "GET / from 192.0.2.7 via 10.0.0.1 10.0.0.2 with X-Forwarded-For: 6.6.6.6"
                .parse()
                .unwrap();
        let client =
            |rule: ClientAddress| request.client(&rule).unwrap().0.address.unwrap().to_string();
        assert_eq!(client(ClientAddress::peer()), "10.0.0.2");
        assert_eq!(client(ClientAddress::behind(["10.0.0.2"]).unwrap()), "10.0.0.1");
        let all = ClientAddress::behind(["10.0.0.0/8"]).unwrap();
        assert_eq!(client(all.clone()), "192.0.2.7");
        assert_eq!(client(all.header("Forwarded").unwrap()), "192.0.2.7");
    }
}
