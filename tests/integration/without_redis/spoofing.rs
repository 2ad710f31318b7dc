//! Tests clients that forge headers with client addresses. Behind every chain of trusted proxies, each client must be
//! counted in a separate bucket, and must not use up the bucket of another client.

use std::net::SocketAddr;

use actix_rateguard::{ClientAddress, Limit, RateGuard, RateLimit, key, rate_limit};
use actix_web::{get, test::TestRequest, web};

use crate::support::{
    app::{from_client, send},
    forgeries::{Lines, entry, forgeries},
    server::Server,
    wire::{self, WireResponse},
};

#[get("/attribute")]
#[rate_limit(rate = "1/day", key = "ip")]
async fn attribute() -> &'static str {
    "ok"
}

const PATHS: [&str; 2] = ["/attribute", "/middleware"];

/// Creates an application with this guard and two paths. An attribute sets the limit of one path, and a middleware sets
/// the limit of the other path.
macro_rules! limited {
    ($guard:expr) => {{
        let guard: RateGuard = $guard;
        let limit = RateLimit::new(&guard, Limit::new("1/day").key(key::ip()));
        let resource = web::resource("/middleware").wrap(limit).route(web::get().to(async || "ok"));
        app!(guard, attribute, resource)
    }};
}

/// Headers in which common proxies and CDNs report the address of a client.
const HEADERS: [&str; 14] = [
    "X-Forwarded-For",
    "Forwarded",
    "X-Real-IP",
    "CF-Connecting-IP",
    "True-Client-IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "Fastly-Client-IP",
    "Fly-Client-IP",
    "X-Forwarded",
    "Forwarded-For",
    "X-Originating-IP",
    "X-Remote-Addr",
    "X-Envoy-External-Address",
];

/// The peer of the connection on which the server receives the request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Peer {
    /// The client itself is the peer of a TCP connection.
    Client,
    /// The client itself is the peer of a connection over a Unix socket. The guard does not trust Unix sockets.
    SocketClient,
    /// A trusted proxy with this address is the peer. `None` means that the proxy is connected over a Unix socket.
    Proxy(Option<&'static str>),
}

/// The way in which a proxy changes the header that reports the client address.
#[derive(Clone, Copy, Debug)]
enum HeaderEdit {
    /// Joins all lines of the header and the new entry into a single line, as nginx does.
    Join,
    /// Appends the new entry to the last line of the header, as Envoy does.
    Extend,
    /// Adds a new line that contains only the new entry, as HAProxy does.
    AddLine,
    /// Replaces all lines of the header by a single line with the new entry.
    Replace,
}

/// The proxies between the client and the server. The client is connected to the first proxy in the list.
type ProxyChain = &'static [HeaderEdit];

const APPENDING: [ProxyChain; 5] = [
    &[HeaderEdit::Join],
    &[HeaderEdit::Extend],
    &[HeaderEdit::AddLine],
    &[HeaderEdit::Join, HeaderEdit::AddLine],
    &[HeaderEdit::AddLine, HeaderEdit::Extend],
];

const REPLACING: [ProxyChain; 1] = [&[HeaderEdit::Replace]];

/// The headers that the guard can be configured to read. Each header has the proxy chains with which it is tested.
const CONFIGURED: [(&str, &[ProxyChain]); 4] = [
    ("X-Forwarded-For", &APPENDING),
    ("Forwarded", &APPENDING),
    ("X-Real-IP", &REPLACING),
    ("CF-Connecting-IP", &REPLACING),
];

const TRUSTED: [&str; 2] = ["192.0.2.0/24", "fd00::/8"];

/// The address of the first proxy in a chain of two. The second proxy writes this address into the header.
const OUTER_PROXY: &str = "192.0.2.99";

#[derive(Clone, Copy, Debug)]
struct Case {
    peer: Peer,
    /// The header that the guard is configured to read.
    configured: &'static str,
    chain: ProxyChain,
    attacker: &'static str,
    victim: &'static str,
}

impl Case {
    fn guard(&self) -> RateGuard {
        let rule = ClientAddress::behind(TRUSTED).unwrap().header(self.configured).unwrap();
        let rule = match self.peer {
            Peer::Proxy(None) => rule.trust_unix_sockets(),
            _ => rule,
        };
        RateGuard::builder().client_address(rule).build().unwrap()
    }

    /// Creates the request that the server receives from the last proxy. The client with the address `client` has sent
    /// the request to the first proxy with the headers `written`.
    fn request(&self, path: &str, client: &str, written: &[(String, Lines)]) -> TestRequest {
        let mut headers = written.to_vec();
        let peer = match self.peer {
            Peer::Client => Some(client),
            Peer::SocketClient => None,
            Peer::Proxy(address) => {
                let found =
                    headers.iter().position(|(name, _)| name.eq_ignore_ascii_case(self.configured));
                let index = found.unwrap_or_else(|| {
                    headers.push((self.configured.to_owned(), Vec::new()));
                    headers.len() - 1
                });
                let lines = &mut headers[index].1;
                for (edit, from) in self.chain.iter().zip([client, OUTER_PROXY]) {
                    apply_edit(*edit, lines, entry(self.configured, from).into_bytes());
                }
                address
            }
        };
        let mut request = TestRequest::get().uri(path);
        if let Some(peer) = peer {
            request = request.peer_addr(SocketAddr::new(peer.parse().unwrap(), 40_000));
        }
        for (name, lines) in &headers {
            for line in lines {
                request = request.append_header((&**name, &**line));
            }
        }
        request
    }
}

fn apply_edit(edit: HeaderEdit, lines: &mut Lines, entry: Vec<u8>) {
    let joined =
        |lines: &[Vec<u8>]| [lines, std::slice::from_ref(&entry)].concat().join(&b", "[..]);
    match edit {
        HeaderEdit::Join => *lines = vec![joined(lines)],
        HeaderEdit::Extend => {
            let last = lines.pop();
            lines.push(joined(last.as_slice()));
        }
        HeaderEdit::AddLine => lines.push(entry),
        HeaderEdit::Replace => *lines = vec![entry],
    }
}

/// For each path, sends three requests: from the attacker without forged headers, from the attacker with forged
/// headers, and from the victim. Returns the statuses.
async fn run_case(case: &Case, written: &[(String, Lines)]) -> [[u16; 3]; 2] {
    let app = limited!(case.guard());
    let mut statuses = [[0; 3]; 2];
    for (path, statuses) in PATHS.into_iter().zip(&mut statuses) {
        let requests = [(case.attacker, &[][..]), (case.attacker, written), (case.victim, &[][..])];
        for ((client, written), status) in requests.into_iter().zip(statuses) {
            *status = send(&app, case.request(path, client, written)).await.status;
        }
    }
    statuses
}

const V4: [&str; 2] = ["198.51.100.7", "203.0.113.5"];
const V6: [&str; 2] = ["2001:db8:a::7", "2001:db8:b::5"];

/// The tested peers, each with the addresses of two clients: the attacker, who forges headers, and the victim, whose
/// address the attacker forges.
const PEERS: [(Peer, [&str; 2]); 9] = [
    (Peer::Client, V4),
    (Peer::Client, V6),
    (Peer::SocketClient, V4),
    (Peer::Proxy(Some("192.0.2.1")), V4),
    (Peer::Proxy(Some("192.0.2.1")), V6),
    (Peer::Proxy(Some("::ffff:192.0.2.1")), V4),
    (Peer::Proxy(Some("fd00::1")), V6),
    (Peer::Proxy(None), V4),
    (Peer::Proxy(None), V6),
];

#[actix_web::test]
async fn forged_headers_do_not_change_the_bucket_of_a_client() {
    let mut combinations = 0;
    let mut violations = Vec::new();
    for (peer, [attacker, victim]) in PEERS {
        for (configured, chains) in CONFIGURED {
            let underscores = configured.replace('-', "_");
            let spelled = [configured.to_uppercase(), underscores, format!("{configured}-")];
            let names = HEADERS.map(str::to_owned).into_iter().chain(spelled);
            let mut header_sets: Vec<_> = names.map(|name| vec![name]).collect();
            header_sets.push(HEADERS.map(str::to_owned).into());
            for (name_index, names) in header_sets.iter().enumerate() {
                let is_configured = names.iter().any(|it| it.eq_ignore_ascii_case(configured));
                let forged: Vec<_> =
                    names.iter().map(|name| forgeries(name, attacker, victim)).collect();
                for (index, (shape, _)) in forged[0].iter().enumerate() {
                    // The guard ignores all headers except the configured header. Therefore the test sends these
                    // ignored headers with fewer proxy chains, and with only a part of the forgeries.
                    let chains = match peer {
                        Peer::Proxy(_) if is_configured => chains,
                        _ if is_configured => &chains[..1],
                        _ if (name_index + index) % 5 > 0 => continue,
                        Peer::Proxy(_) => &[chains[0], &[]],
                        _ => &chains[..1],
                    };
                    let lines = forged.iter().map(|forged| forged[index].1.clone());
                    let written: Vec<_> = names.iter().cloned().zip(lines).collect();
                    for chain in chains {
                        let case = Case { peer, configured, chain, attacker, victim };
                        // Without an address that the guard trusts, the guard cannot distinguish the clients. Then all
                        // clients share one bucket.
                        let is_distinguished = match peer {
                            Peer::Client => true,
                            Peer::SocketClient => false,
                            Peer::Proxy(_) => !chain.is_empty(),
                        };
                        let victim_status = if is_distinguished { 200 } else { 429 };
                        let statuses = run_case(&case, &written).await;
                        if statuses != [[200, 429, victim_status]; 2] {
                            violations.push(format!("{case:?} {shape} in {names:?}: {statuses:?}"));
                        }
                        combinations += 1;
                    }
                }
            }
        }
    }
    assert!(
        violations.is_empty(),
        "{} of {combinations}:\n{}",
        violations.len(),
        violations.join("\n")
    );
    assert!(combinations >= 20_000, "{combinations}");
}

#[actix_web::test]
async fn all_spellings_of_a_proxied_address_share_one_bucket() {
    for (header, addresses) in [
        (
            "X-Forwarded-For",
            &[
                "2001:db8:b::5",
                "2001:DB8:B::5",
                "2001:0db8:000b:0:0:0:0:5",
                "2001:db8:b:0::5",
                "[2001:db8:b::5]",
                "[2001:db8:b::5]:443",
                "[2001:db8:b::5]:444",
                "2001:db8:b::0.0.0.5",
                "2001:db8:b::5%eth0",
                "\t2001:db8:b::5 ",
            ][..],
        ),
        (
            "X-Real-IP",
            &[
                "203.0.113.5",
                "203.0.113.5:80",
                "203.0.113.5:81",
                "::ffff:203.0.113.5",
                "::FFFF:cb00:7105",
                "[::ffff:203.0.113.5]:80",
                "0:0:0:0:0:ffff:203.0.113.5",
            ],
        ),
        (
            "Forwarded",
            &[
                "for=\"[2001:db8:b::5]\"",
                "For=\"[2001:DB8:b:0::5]:443\"",
                "FOR=\"2001:db8:b::0.0.0.5\";by=_x",
                "proto=https; for=\"[2001:db8:b::5]\" ;host=\"a,b;for=c\"",
            ],
        ),
    ] {
        for path in PATHS {
            let rule = ClientAddress::behind(TRUSTED).unwrap().header(header).unwrap();
            let app = limited!(RateGuard::builder().client_address(rule).build().unwrap());
            for (index, address) in addresses.iter().enumerate() {
                let request = from_client(1, TestRequest::get().uri(path));
                let status = send(&app, request.insert_header((header, *address))).await.status;
                assert_eq!(status, if index == 0 { 200 } else { 429 }, "{header}: {address:?}");
            }
            // The requests above must not have used up the buckets of other clients or of the proxy.
            for other in ["192.0.2.77", "fd00::77"] {
                let request = from_client(1, TestRequest::get().uri(path));
                let written = entry(header, other);
                assert_eq!(send(&app, request.insert_header((header, written))).await.status, 200);
            }
            let request = from_client(1, TestRequest::get().uri(path));
            assert_eq!(send(&app, request).await.status, 200);
        }
    }
}

#[test]
fn forged_headers_over_a_socket_do_not_change_the_bucket() {
    let rule = ClientAddress::behind(["127.0.0.0/8"]).unwrap();
    let guard = RateGuard::builder().client_address(rule).build().unwrap();
    let server = Server::start(move |app| {
        let limit = RateLimit::new(&guard, Limit::new("1/day").key(key::ip()));
        let resource = web::resource("/middleware").wrap(limit).to(async || "ok");
        app.app_data(guard.clone()).service(attribute).service(resource);
    });
    let victim = "203.0.113.5";
    let send_raw = |path: &str, written: &str, attacker: &str, body: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nHost: test\r\n{written}");
        let proxy = format!("X-Forwarded-For: {attacker}\r\nConnection: close\r\n\r\n");
        wire::send(server.address(), &[head, proxy, body.to_owned()].concat().into_bytes())
    };
    let forged = [
        format!("X-Forwarded-For: {victim}\r\n"),
        format!("x-forwarded-for: {victim}\r\n"),
        format!("X-FORWARDED-FOR:{victim}\r\n"),
        format!("x-FoRwArDeD-fOr:\t{victim}\t\r\n"),
        format!("X_Forwarded_For: {victim}\r\n"),
        format!("X-Forwarded-For : {victim}\r\n"),
        format!(" X-Forwarded-For: {victim}\r\n"),
        format!("X-Forwarded-For: 10.0.0.1\r\n {victim}\r\n"),
        format!("X-Forwarded-For: 10.0.0.1\r\n\t, {victim}\r\n"),
        format!("X-Forwarded-For: {victim}\0\r\n"),
        format!("X-Forwarded-For: {victim}\r\r\n"),
        format!("X-Forwarded-For: {victim}\n"),
        format!("X-Forwarded-For\0: {victim}\r\n"),
        format!("Connection: X-Forwarded-For\r\nX-Forwarded-For: {victim}\r\n"),
        format!("X-Forwarded-For: {victim}\r\n").repeat(90),
    ];
    for (index, written) in forged.iter().enumerate() {
        let attacker = format!("198.51.100.{index}");
        for path in PATHS {
            assert_eq!(send_raw(path, "", &attacker, ""), WireResponse::Status(200), "{written:?}");
            let response = send_raw(path, written, &attacker, "");
            // The server may reject a malformed header with 400, before the guard checks the request.
            assert!(
                matches!(response, WireResponse::Status(429 | 400)),
                "{written:?}: {response:?}"
            );
            assert_eq!(send_raw(path, "", &attacker, ""), WireResponse::Status(429), "{written:?}");
        }
    }
    // A trailer field after the body must not have any effect either, because the guard reads only headers.
    let trailer = format!("0\r\nX-Forwarded-For: {victim}\r\n\r\n");
    let chunked = "Transfer-Encoding: chunked\r\nTrailer: X-Forwarded-For\r\n";
    for path in PATHS {
        assert_eq!(send_raw(path, chunked, "198.51.100.99", &trailer), WireResponse::Status(200));
        assert_eq!(send_raw(path, chunked, "198.51.100.99", &trailer), WireResponse::Status(429));
        assert_eq!(send_raw(path, "", victim, ""), WireResponse::Status(200));
    }
}
