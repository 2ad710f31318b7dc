//! A store in memory that one IPv6 /48 network has filled: whether bans still begin, and whether others get in.

use std::{net::Ipv4Addr, sync::mpsc, thread, time::Duration};

use tokio::time::sleep;

use super::{
    Outcome, PATIENCE, Report,
    http1::Connection,
    limits::Limit,
    load::{self, Load, Tally},
    request::{Addresses, Request},
    server::{Server, Setup},
};

/// The name on the command line.
pub const NAME: &str = "full-memory";

/// With two quotas each these are more than the default maximum of 100,000 keys. The /48 has 13,536 networks besides.
const INVENTED: u64 = 52_000;
const CONNECTIONS: usize = 50;
/// Far more than it takes to fill the store.
const FILLED_WITHIN: Duration = Duration::from_secs(60);
/// The flood goes on with 1,500 addresses a second while the others come.
const PAUSE: Duration = Duration::from_millis(1_000 * CONNECTIONS as u64 / 1_500);
const GOES_ON: Duration = Duration::from_secs(5);
/// Between two requests of the others.
const BETWEEN: Duration = Duration::from_millis(30);
const DENIALS: usize = 50;
const NEWCOMERS: u32 = 50;
/// The offences that lead to a ban, under the limit `network`.
const OFFENCES: usize = 5;
/// The first ban under it is longer than its shortest window.
const LONGEST_WITHOUT_BAN: u64 = 3_600;
const KNOWN: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// What others saw of the flood.
#[derive(Default)]
struct Seen {
    /// Requests of the known client that passed.
    passed: u64,
    /// Its denials.
    denied: usize,
    /// Denials by its ban.
    banned: usize,
    /// Newcomers that were let in.
    admitted: u32,
}

/// Fills the store and counts bans and newcomers.
///
/// # Errors
///
/// If the server does not answer.
pub fn measure() -> Outcome<Report> {
    let limit = Limit::named("network").ok_or("no such limit")?;
    let setup =
        Setup { store: "memory", prefix: "", mode: "open", replicas: 1, limit, deadline: None };
    let server = Server::start(setup)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut seen = Seen::default();
    runtime.block_on(async {
        let mut known = Connection::open(KNOWN, server.http1()).await?;
        let response = known.send(Request::new(Addresses::Peer, "").bytes()).await?;
        seen.passed += u64::from(response.status == 200);
        Outcome::Ok(())
    })?;

    let mut load = Load {
        servers: vec![server.http1()],
        connections: CONNECTIONS,
        requests: vec![Request::new(Addresses::OneNetwork, "")],
        lasts: FILLED_WITHIN,
        first_address: 0,
        max_requests: INVENTED,
        pause: Duration::ZERO,
    };
    let filled = load::run(&load, &mpsc::channel().0)?;
    load = Load {
        lasts: GOES_ON,
        first_address: INVENTED as u32,
        max_requests: u64::MAX,
        pause: PAUSE,
        ..load
    };
    let (opened, is_open) = mpsc::channel();
    let flood = thread::spawn(move || load::run(&load, &opened));
    is_open.recv_timeout(PATIENCE)?;
    runtime.block_on(look(&server, limit, &mut seen))?;
    let flood = flood.join().map_err(|_| "the flood panicked")??;
    Ok(report(limit, &filled, &flood, &seen))
}

/// Sends as the known client and as newcomers.
async fn look(server: &Server, limit: &Limit, seen: &mut Seen) -> Outcome {
    let plain = Request::new(Addresses::Peer, "");
    let mut known = Connection::open(KNOWN, server.http1()).await?;
    while seen.denied < DENIALS && seen.passed <= 2 * limit.allowance() {
        let response = known.send(plain.bytes()).await?;
        if response.status == 200 {
            seen.passed += 1;
        } else {
            seen.denied += 1;
            seen.banned += usize::from(response.retry_after > Some(LONGEST_WITHOUT_BAN));
            sleep(BETWEEN).await;
        }
    }
    let mut forwarded = Request::new(Addresses::ManyNetworks, "");
    let mut proxy = Connection::open(Ipv4Addr::LOCALHOST, server.http1()).await?;
    for number in 0..NEWCOMERS {
        forwarded.set_address(number);
        seen.admitted += u32::from(proxy.send(forwarded.bytes()).await?.status == 200);
        sleep(BETWEEN).await;
    }
    Ok(())
}

fn report(limit: &Limit, filled: &Tally, flood: &Tally, seen: &Seen) -> Report {
    let Seen { passed, banned, admitted, .. } = *seen;
    let mut report = Report::default();
    for (what, tally) in [("fill the store", filled), ("go on", flood)] {
        let per_second = tally.sent as f64 / tally.lasted.as_secs_f64().max(0.001);
        report.lines.push(format!(
            "{} addresses of one /48 {what}, {per_second:.0} a second: {} passed",
            tally.sent, tally.passed
        ));
    }
    report.lines.push(format!("known client: {passed} passed, and {} may", limit.allowance()));
    report.lines.push(format!("known client: {banned} of {DENIALS} denials are by its ban"));
    report.lines.push(format!("newcomers of other networks: {admitted} of {NEWCOMERS} let in"));
    let mut require = |is_right: bool, violation: String| {
        if !is_right {
            report.violations.push(format!("{NAME}: {violation}"));
        }
    };
    require(
        passed <= limit.allowance(),
        format!("{passed} requests of a known client passed, and {} may", limit.allowance()),
    );
    require(
        banned + OFFENCES >= DENIALS,
        format!("only {banned} of {DENIALS} denials of a known client are by its ban"),
    );
    require(
        admitted == NEWCOMERS,
        format!("{} of {NEWCOMERS} newcomers of other networks were refused", NEWCOMERS - admitted),
    );
    report
}
