//! The walk over what proxies wrote: nobody can say to be somebody else.

use std::net::{IpAddr, SocketAddr};

use rateguard::ClientAddress;

use super::{
    Target,
    proxies::{HEADERS, PROXIES, STRANGERS, TRUSTED, entry, forwarded, is_proxy, words},
    random::Random,
    text::Text,
};

#[derive(Debug)]
pub(super) struct Input {
    header: usize,
    /// `None` over a Unix socket.
    peer: Option<IpAddr>,
    lines: Vec<Text>,
    client: IpAddr,
    /// How the honest proxies write the client and each other, each of them in a line of its own or not.
    written: Vec<(String, bool)>,
}

/// The rule for each header.
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
        &["the peer is no proxy", "the header tells nothing", "the header tells a client"];

    fn input(&self, random: &mut Random) -> Input {
        let header = random.below(HEADERS.len());
        let words = words(header);
        let address = |text: &&str| text.parse::<IpAddr>().unwrap();
        let client = address(random.pick(&STRANGERS));
        let mut hops = vec![client];
        hops.extend(random.list(3, |random| address(random.pick(&TRUSTED))));
        Input {
            header,
            peer: match random.below(8) {
                0 => None,
                1 => Some(address(random.pick(&STRANGERS))),
                _ => Some(address(random.pick(&TRUSTED))),
            },
            lines: random.list(4, |random| words.text(random)),
            client,
            written: hops
                .into_iter()
                .map(|hop| (entry(hop, header, random), random.one_in(3)))
                .collect(),
        }
    }

    fn check(&mut self, input: &Input) -> usize {
        let rule = &self.0[input.header];
        let told = |peer, lines: &[Text]| rule.address(peer, lines.iter().map(|line| &*line.0));
        let peer = input.peer.map(|peer| peer.to_canonical());
        let client = told(input.peer, &input.lines);
        if let Some(client) = client {
            assert_eq!(client, client.to_canonical(), "the client is not canonical");
            let is_written = input.lines.iter().any(|line| has(&line.0, client));
            assert!(client == peer.unwrap_or(client) || is_written, "nobody wrote {client}");
        }

        let is_read = HEADERS[input.header] != "Forwarded" || input.lines.iter().all(is_closed);
        if is_read {
            let joined =
                input.lines.iter().map(|line| &*line.0).collect::<Vec<_>>().join(&b", "[..]);
            assert_eq!(told(input.peer, &[Text(joined)]), client, "in one line it is another");
        }

        let honest = told(input.peer, &forwarded(&input.lines, &input.written));
        if input.peer.is_some_and(|peer| !is_proxy(peer)) {
            assert_eq!((client, honest), (peer, peer), "a stranger was believed");
            return 0;
        }
        assert_eq!(
            honest,
            Some(input.client.to_canonical()),
            "what stands on the left was believed"
        );

        // A proxy that hands on half a quotation, and so puts an end to it all, but gives nobody a voice.
        let has_quotes = input.lines.iter().any(|line| line.0.contains(&b'"'));
        if HEADERS[input.header] == "Forwarded" && !has_quotes {
            let mut lines = forwarded(&input.lines, &input.written);
            if let Some(last) = lines.last_mut() {
                last.0.extend_from_slice(b";host=\"a");
            }
            assert_eq!(
                told(input.peer, &lines),
                peer,
                "what an open quotation swallows was believed"
            );
        }
        if client == peer { 1 } else { 2 }
    }
}

/// Whether somebody wrote this address in the line.
fn has(line: &[u8], address: IpAddr) -> bool {
    let pieces = line.split(|byte| byte.is_ascii_whitespace() || b",;=\"[]%".contains(byte));
    pieces.filter_map(|piece| str::from_utf8(piece).ok()).any(|piece| {
        let v4_with_port = || piece.parse().map(|it: SocketAddr| it.ip());
        piece
            .parse()
            .or_else(|_| v4_with_port())
            .is_ok_and(|it: IpAddr| it.to_canonical() == address)
    })
}

/// Whether all quotation marks of a line are closed in it, as far as that can be seen without knowing what escapes.
fn is_closed(line: &Text) -> bool {
    let quotes = line.0.iter().filter(|byte| **byte == b'"').count();
    quotes.is_multiple_of(2) && !line.0.contains(&b'\\')
}
