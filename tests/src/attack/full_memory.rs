//! A store in memory that one IPv6 /48 network has filled: whether bans still begin, and whether others get in.

use std::{net::Ipv4Addr, sync::mpsc, time::Duration};

use super::{
    Outcome, Report,
    http1::Connection,
    limits::Limit,
    load::{self, Load},
    request::{Addresses, Request},
    server::{Server, Setup},
};

/// The name on the command line.
pub const NAME: &str = "full-memory";

/// With two quotas each these are more than the default maximum of 100,000 keys, and no more than the /64 networks of a /48.
const INVENTED: u64 = 60_000;
const CONNECTIONS: usize = 50;
const LASTS: Duration = Duration::from_secs(60);
const DENIALS: usize = 50;
const NEWCOMERS: u32 = 50;
/// The offences that lead to a ban, under the limit `network`.
const OFFENCES: usize = 5;
/// The first ban under it is longer than its shortest window.
const LONGEST_WITHOUT_BAN: u64 = 3_600;
const KNOWN: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Fills the store and counts bans and newcomers.
///
/// # Errors
///
/// If the server does not answer.
pub fn measure() -> Outcome<Report> {
    let limit = Limit::named("network").ok_or("no such limit")?;
    let server =
        Server::start(Setup { store: "memory", prefix: "", mode: "open", replicas: 1, limit })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let plain = Request::new(Addresses::Peer, "");
    let mut known = runtime.block_on(Connection::open(KNOWN, server.http1()))?;
    runtime.block_on(known.send(plain.bytes()))?;

    let load = Load {
        servers: vec![server.http1()],
        connections: CONNECTIONS,
        request: Request::new(Addresses::OneNetwork, ""),
        lasts: LASTS,
        first_address: 0,
        max_requests: INVENTED,
    };
    let tally = load::run(&load, &mpsc::channel().0)?;

    let (mut passed, mut denied, mut banned) = (1, 0, 0);
    // The flood may have taken longer than the server keeps a silent connection.
    let mut known = runtime.block_on(Connection::open(KNOWN, server.http1()))?;
    while denied < DENIALS {
        let response = runtime.block_on(known.send(plain.bytes()))?;
        match response.status {
            200 if passed > 2 * limit.allowance() => break,
            200 => passed += 1,
            _ => {
                denied += 1;
                banned += usize::from(response.retry_after > Some(LONGEST_WITHOUT_BAN));
            }
        }
    }
    let mut forwarded = Request::new(Addresses::ManyNetworks, "");
    let mut proxy = runtime.block_on(Connection::open(Ipv4Addr::LOCALHOST, server.http1()))?;
    let mut admitted = 0;
    for number in 0..NEWCOMERS {
        forwarded.set_address(number);
        admitted += u32::from(runtime.block_on(proxy.send(forwarded.bytes()))?.status == 200);
    }

    let mut report = Report::default();
    report
        .lines
        .push(format!("{} addresses of one /48, of which {} passed", tally.sent, tally.passed));
    report.lines.push(format!("known client: {passed} of {} passed", limit.allowance()));
    report.lines.push(format!("known client: {banned} of {DENIALS} denials are by its ban"));
    report.lines.push(format!("newcomers of other networks: {admitted} of {NEWCOMERS} let in"));
    let mut require = |is_right: bool, violation: &str| {
        if !is_right {
            report.violations.push(format!("{NAME}: {violation}"));
        }
    };
    require(passed <= limit.allowance(), "more of a known client passed than its limit");
    require(banned + OFFENCES >= DENIALS, "a known client is not banned for its denials");
    require(admitted == NEWCOMERS, "newcomers of other networks are refused");
    Ok(report)
}
