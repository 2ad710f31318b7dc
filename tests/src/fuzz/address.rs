//! Tests how a guard finds the address of a client behind proxies. A client must not be able to choose the address
//! by which a guard identifies the client.

use std::net::{IpAddr, SocketAddr};

use actix_rateguard::ClientAddress;

use super::{
    Target,
    proxies::{HEADERS, PROXIES, TRUSTED, UNTRUSTED, entry, forwarded, is_proxy, text_source},
    random::Random,
    text::Text,
};

#[derive(Debug)]
pub(super) struct Input {
    header: usize,
    /// The address of the peer; `None` if the peer is connected over a Unix socket.
    peer: Option<IpAddr>,
    lines: Vec<Text>,
    client: IpAddr,
    /// The entries that the trusted proxies append to the header: first the client's address, then the addresses of
    /// proxies. The flag says whether the entry begins a new header line.
    written: Vec<(String, bool)>,
}

/// The client address rules, one for each of the [`HEADERS`].
pub(super) struct Address([ClientAddress; 3]);

impl Default for Address {
    fn default() -> Self {
        let rule = ClientAddress::behind(PROXIES).unwrap().trust_unix_sockets();
        Self(HEADERS.map(|header| rule.clone().header(header).unwrap()))
    }
}

impl Target for Address {
    type Input = Input;

    const OUTCOMES: &'static [&'static str] =
        &["the peer is not a proxy", "the header has no client", "the header has a client"];

    fn input(&self, random: &mut Random) -> Input {
        let header = random.below(HEADERS.len());
        let source = text_source(header);
        let address = |text: &&str| text.parse::<IpAddr>().unwrap();
        let client = address(random.pick(&UNTRUSTED));
        let mut hops = vec![client];
        hops.extend(random.list(3, |random| address(random.pick(&TRUSTED))));
        Input {
            header,
            peer: match random.below(8) {
                0 => None,
                1 => Some(address(random.pick(&UNTRUSTED))),
                _ => Some(address(random.pick(&TRUSTED))),
            },
            lines: random.list(4, |random| source.text(random)),
            client,
            written: hops
                .into_iter()
                .map(|hop| (entry(hop, header, random), random.one_in(3)))
                .collect(),
        }
    }

    fn check(&mut self, input: &Input) -> usize {
        let rule = &self.0[input.header];
        let client_of =
            |peer, lines: &[Text]| rule.address(peer, lines.iter().map(|line| &*line.0));
        let peer = input.peer.map(|peer| peer.to_canonical());
        let client = client_of(input.peer, &input.lines);
        if let Some(client) = client {
            assert_eq!(client, client.to_canonical(), "the client is not canonical");
            let is_written = input.lines.iter().any(|line| has(&line.0, client));
            assert!(client == peer.unwrap_or(client) || is_written, "{client} is in no header");
        }

        let is_read = HEADERS[input.header] != "Forwarded" || input.lines.iter().all(is_closed);
        if is_read {
            let joined =
                input.lines.iter().map(|line| &*line.0).collect::<Vec<_>>().join(&b", "[..]);
            assert_eq!(
                client_of(input.peer, &[Text(joined)]),
                client,
                "joined into one line, the header has another client"
            );
        }

        let honest = client_of(input.peer, &forwarded(&input.lines, &input.written));
        if input.peer.is_some_and(|peer| !is_proxy(peer)) {
            assert_eq!((client, honest), (peer, peer), "the header of an untrusted peer was used");
            return 0;
        }
        assert_eq!(
            honest,
            Some(input.client.to_canonical()),
            "an entry to the left of the client was used"
        );

        // If a proxy appends a quoted string without a closing quotation mark, the header is invalid. The guard then
        // uses the address of the peer.
        let has_quotes = input.lines.iter().any(|line| line.0.contains(&b'"'));
        if HEADERS[input.header] == "Forwarded" && !has_quotes {
            let mut lines = forwarded(&input.lines, &input.written);
            if let Some(last) = lines.last_mut() {
                last.0.extend_from_slice(b";host=\"a");
            }
            assert_eq!(
                client_of(input.peer, &lines),
                peer,
                "an entry in an unterminated quoted string was used"
            );
        }
        if client == peer { 1 } else { 2 }
    }
}

/// Returns whether the line contains this address.
fn has(line: &[u8], address: IpAddr) -> bool {
    let fragments = line.split(|byte| byte.is_ascii_whitespace() || b",;=\"[]%".contains(byte));
    fragments.filter_map(|fragment| str::from_utf8(fragment).ok()).any(|fragment| {
        let v4_with_port = || fragment.parse().map(|it: SocketAddr| it.ip());
        fragment
            .parse()
            .or_else(|_| v4_with_port())
            .is_ok_and(|it: IpAddr| it.to_canonical() == address)
    })
}

/// Returns whether the line has an even number of quotation marks. A backslash may escape a quotation mark, so the
/// result is `false` for a line with a backslash.
fn is_closed(line: &Text) -> bool {
    let quotes = line.0.iter().filter(|byte| **byte == b'"').count();
    quotes.is_multiple_of(2) && !line.0.contains(&b'\\')
}
