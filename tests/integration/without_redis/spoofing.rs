//! Clients that claim to be somebody else: whatever they write and through whichever proxies it comes, they stay in
//! their own bucket and out of everybody else's.

use std::net::SocketAddr;

use actix_web::{get, test::TestRequest, web};
use rateguard::{ClientAddress, RateGuard, RateLimit, key, rate_limit};

use crate::support::{
    app::{from_client, send},
    forgeries::{Lines, entry, forgeries},
    server::Server,
    wire::{self, Answer},
};

#[get("/attribute")]
#[rate_limit(rate = "1/day", key = "ip")]
async fn attribute() -> &'static str {
    "ok"
}

const PATHS: [&str; 2] = ["/attribute", "/middleware"];

/// An application with a fresh guard, limited at both of the paths.
macro_rules! limited {
    ($guard:expr) => {{
        let guard: RateGuard = $guard;
        let limit = RateLimit::new(&guard, "1/day").by(key::ip());
        let resource = web::resource("/middleware").wrap(limit).route(web::get().to(async || "ok"));
        app!(guard, attribute, resource)
    }};
}

/// Headers in which somebody somewhere writes where a request came from.
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

/// Who is connected to the server.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Peer {
    /// The client itself.
    Client,
    /// The client itself, over a Unix socket that nobody trusts.
    SocketClient,
    /// A trusted proxy, over a Unix socket if it has no address.
    Proxy(Option<&'static str>),
}

/// What a proxy does to the header that it writes.
#[derive(Clone, Copy, Debug)]
enum Writes {
    /// Makes one line of all, itself last: nginx.
    Joins,
    /// Goes on in the last line: Envoy.
    Extends,
    /// Adds a line of its own: HAProxy.
    Adds,
    /// Removes what was there.
    Replaces,
}

/// The way of a request through proxies that write the header, the first being the client's peer.
type Way = &'static [Writes];

const APPENDING: [Way; 5] = [
    &[Writes::Joins],
    &[Writes::Extends],
    &[Writes::Adds],
    &[Writes::Joins, Writes::Adds],
    &[Writes::Adds, Writes::Extends],
];

const REPLACING: [Way; 1] = [&[Writes::Replaces]];

/// The header that the proxies write, and the ways in which they do.
const CONFIGURED: [(&str, &[Way]); 4] = [
    ("X-Forwarded-For", &APPENDING),
    ("Forwarded", &APPENDING),
    ("X-Real-IP", &REPLACING),
    ("CF-Connecting-IP", &REPLACING),
];

const TRUSTED: [&str; 2] = ["192.0.2.0/24", "fd00::/8"];

/// The outer one of two proxies.
const OUTER: &str = "192.0.2.99";

#[derive(Clone, Copy, Debug)]
struct Case {
    peer: Peer,
    /// The header that the guard reads.
    configured: &'static str,
    way: Way,
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

    /// A request of this client, who has written these headers, as the server receives it.
    fn request(&self, path: &str, client: &str, written: &[(String, Lines)]) -> TestRequest {
        let mut headers = written.to_vec();
        let peer = match self.peer {
            Peer::Client => Some(client),
            Peer::SocketClient => None,
            Peer::Proxy(address) => {
                let found =
                    headers.iter().position(|(name, _)| name.eq_ignore_ascii_case(self.configured));
                let place = found.unwrap_or_else(|| {
                    headers.push((self.configured.to_owned(), Vec::new()));
                    headers.len() - 1
                });
                let lines = &mut headers[place].1;
                for (writes, from) in self.way.iter().zip([client, OUTER]) {
                    pass(*writes, lines, entry(self.configured, from).into_bytes());
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

fn pass(writes: Writes, lines: &mut Lines, entry: Vec<u8>) {
    let joined =
        |lines: &[Vec<u8>]| [lines, std::slice::from_ref(&entry)].concat().join(&b", "[..]);
    match writes {
        Writes::Joins => *lines = vec![joined(lines)],
        Writes::Extends => {
            let last = lines.pop();
            lines.push(joined(last.as_slice()));
        }
        Writes::Adds => lines.push(entry),
        Writes::Replaces => *lines = vec![entry],
    }
}

/// What came of a case: the statuses of the attacker's honest request, of one with these headers, and of the victim.
async fn play(case: &Case, written: &[(String, Lines)]) -> [[u16; 3]; 2] {
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

/// Peers, and those who are behind them.
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
async fn no_header_that_a_client_writes_leads_out_of_its_bucket_or_into_anothers() {
    let mut combinations = 0;
    let mut wrong = Vec::new();
    for (peer, [attacker, victim]) in PEERS {
        for (configured, ways) in CONFIGURED {
            let underscores = configured.replace('-', "_");
            let spelled = [configured.to_uppercase(), underscores, format!("{configured}-")];
            let names = HEADERS.map(str::to_owned).into_iter().chain(spelled);
            let mut sent: Vec<_> = names.map(|name| vec![name]).collect();
            sent.push(HEADERS.map(str::to_owned).into());
            for (turn, names) in sent.iter().enumerate() {
                let is_configured = names.iter().any(|it| it.eq_ignore_ascii_case(configured));
                let forged: Vec<_> =
                    names.iter().map(|name| forgeries(name, attacker, victim)).collect();
                for (place, (shape, _)) in forged[0].iter().enumerate() {
                    // To a header that is not read neither the way matters nor much what is in it.
                    let ways = match peer {
                        Peer::Proxy(_) if is_configured => ways,
                        _ if is_configured => &ways[..1],
                        _ if (turn + place) % 5 > 0 => continue,
                        Peer::Proxy(_) => &[ways[0], &[]],
                        _ => &ways[..1],
                    };
                    let lines = forged.iter().map(|forged| forged[place].1.clone());
                    let written: Vec<_> = names.iter().cloned().zip(lines).collect();
                    for way in ways {
                        let case = Case { peer, configured, way, attacker, victim };
                        // Whom nobody tells apart are one client.
                        let is_told = match peer {
                            Peer::Client => true,
                            Peer::SocketClient => false,
                            Peer::Proxy(_) => !way.is_empty(),
                        };
                        let of_victim = if is_told { 200 } else { 429 };
                        let statuses = play(&case, &written).await;
                        if statuses != [[200, 429, of_victim]; 2] {
                            wrong.push(format!("{case:?} {shape} in {names:?}: {statuses:?}"));
                        }
                        combinations += 1;
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {combinations}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(combinations >= 20_000, "{combinations}");
}

#[actix_web::test]
async fn however_a_proxy_writes_an_address_it_is_one_client() {
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
            for (place, address) in addresses.iter().enumerate() {
                let request = from_client(1, TestRequest::get().uri(path));
                let status = send(&app, request.insert_header((header, *address))).await.status;
                assert_eq!(status, if place == 0 { 200 } else { 429 }, "{header}: {address:?}");
            }
            // What is told of others is still theirs, and so is the proxy's own.
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
fn what_a_client_writes_on_a_real_connection_is_not_believed_either() {
    let rule = ClientAddress::behind(["127.0.0.0/8"]).unwrap();
    let guard = RateGuard::builder().client_address(rule).build().unwrap();
    let server = Server::start(move |app| {
        let limit = RateLimit::new(&guard, "1/day").by(key::ip());
        let resource = web::resource("/middleware").wrap(limit).to(async || "ok");
        app.app_data(guard.clone()).service(attribute).service(resource);
    });
    let victim = "203.0.113.5";
    let ask = |path: &str, written: &str, attacker: &str, body: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nHost: test\r\n{written}");
        let proxy = format!("X-Forwarded-For: {attacker}\r\nConnection: close\r\n\r\n");
        wire::ask(server.address(), &[head, proxy, body.to_owned()].concat().into_bytes())
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
    for (place, written) in forged.iter().enumerate() {
        let attacker = format!("198.51.100.{place}");
        for path in PATHS {
            assert_eq!(ask(path, "", &attacker, ""), Answer::Status(200), "{written:?}");
            let answer = ask(path, written, &attacker, "");
            // Or it is no request.
            assert!(matches!(answer, Answer::Status(429 | 400)), "{written:?}: {answer:?}");
            assert_eq!(ask(path, "", &attacker, ""), Answer::Status(429), "{written:?}");
        }
    }
    // Fields behind the body, too.
    let trailer = format!("0\r\nX-Forwarded-For: {victim}\r\n\r\n");
    let chunked = "Transfer-Encoding: chunked\r\nTrailer: X-Forwarded-For\r\n";
    for path in PATHS {
        assert_eq!(ask(path, chunked, "198.51.100.99", &trailer), Answer::Status(200));
        assert_eq!(ask(path, chunked, "198.51.100.99", &trailer), Answer::Status(429));
        assert_eq!(ask(path, "", victim, ""), Answer::Status(200));
    }
}
