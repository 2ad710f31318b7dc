//! Measures whether bans still begin, and whether new clients are admitted, while a flood from one IPv6 /48 network
//! has filled the memory store.

use std::{net::Ipv4Addr, sync::mpsc, thread, time::Duration};

use tokio::time::sleep;

use super::{
    AttackResult, Report, TIMEOUT,
    http1::Connection,
    limits::Limit,
    load::{self, Load, Tally},
    request::{Addresses, Request},
    server::{Server, Setup},
};

/// The name of this attack on the command line.
pub const NAME: &str = "full-memory";

/// The number of forged addresses that fill the store. Each address has two buckets, one for each quota, so the
/// flood exceeds the default maximum of 100,000 keys. The /48 network has 13,536 more /64 networks, which are enough
/// for the flood during the measurement.
const INVENTED: u64 = 52_000;
const CONNECTIONS: usize = 50;
/// The maximum time for filling the store.
const FILL_TIMEOUT: Duration = Duration::from_secs(60);
/// The pause that each connection makes after a response. With this pause, the flood uses 1,500 new addresses per
/// second during the measurement.
const PAUSE: Duration = Duration::from_millis(1_000 * CONNECTIONS as u64 / 1_500);
const FLOOD_DURATION: Duration = Duration::from_secs(5);
/// The pause after each denial of the existing client, and after each request of a new client.
const REQUEST_INTERVAL: Duration = Duration::from_millis(30);
const DENIALS: usize = 50;
const NEWCOMERS: u32 = 50;
/// The number of denials after which the limit `network` bans a client.
const OFFENCES: usize = 5;
/// The maximum `Retry-After` in seconds of a denial that is not caused by a ban. The first ban lasts longer, so only
/// a denial by a ban has a higher `Retry-After`.
const MAX_DENIAL_WAIT: u64 = 3_600;
const EXISTING_CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// The results of the requests of two kinds of clients. The existing client sends its first request before the
/// flood, and each new client sends its first request during the flood.
#[derive(Default)]
struct Observations {
    /// The number of requests of the existing client that passed.
    passed: u64,
    /// The number of requests of the existing client that were denied, including denials by a ban.
    denied: usize,
    /// The number of requests of the existing client that were denied by a ban.
    banned: usize,
    /// The number of requests of new clients that were admitted.
    admitted: u32,
}

/// Fills the store, and then counts the denials by a ban and the admitted new clients.
///
/// # Errors
///
/// Returns an error if the server does not respond.
pub fn measure() -> AttackResult<Report> {
    let limit = Limit::named("network").ok_or("unknown limit")?;
    let setup =
        Setup { store: "memory", prefix: "", mode: "open", replicas: 1, limit, deadline: None };
    let server = Server::start(setup)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut observed = Observations::default();
    runtime.block_on(async {
        let mut existing = Connection::open(EXISTING_CLIENT, server.http1()).await?;
        let response = existing.send(Request::new(Addresses::Peer, "").bytes()).await?;
        observed.passed += u64::from(response.status == 200);
        AttackResult::Ok(())
    })?;

    let mut load = Load {
        servers: vec![server.http1()],
        connections: CONNECTIONS,
        requests: vec![Request::new(Addresses::OneNetwork, "")],
        duration: FILL_TIMEOUT,
        first_address: 0,
        max_requests: INVENTED,
        pause: Duration::ZERO,
    };
    let filled = load::run(&load, &mpsc::channel().0)?;
    load = Load {
        duration: FLOOD_DURATION,
        first_address: INVENTED as u32,
        max_requests: u64::MAX,
        pause: PAUSE,
        ..load
    };
    let (opened, is_open) = mpsc::channel();
    let flood = thread::spawn(move || load::run(&load, &opened));
    is_open.recv_timeout(TIMEOUT)?;
    runtime.block_on(send_probes(&server, limit, &mut observed))?;
    let flood = flood.join().map_err(|_| "the flood panicked")??;
    Ok(report(limit, &filled, &flood, &observed))
}

/// Sends the requests of the existing client and of the new clients.
async fn send_probes(server: &Server, limit: &Limit, observed: &mut Observations) -> AttackResult {
    let plain = Request::new(Addresses::Peer, "");
    let mut existing = Connection::open(EXISTING_CLIENT, server.http1()).await?;
    while observed.denied < DENIALS && observed.passed <= 2 * limit.allowance() {
        let response = existing.send(plain.bytes()).await?;
        if response.status == 200 {
            observed.passed += 1;
        } else {
            observed.denied += 1;
            observed.banned += usize::from(response.retry_after > Some(MAX_DENIAL_WAIT));
            sleep(REQUEST_INTERVAL).await;
        }
    }
    let mut forwarded = Request::new(Addresses::ManyNetworks, "");
    let mut proxy = Connection::open(Ipv4Addr::LOCALHOST, server.http1()).await?;
    for number in 0..NEWCOMERS {
        forwarded.set_address(number);
        observed.admitted += u32::from(proxy.send(forwarded.bytes()).await?.status == 200);
        sleep(REQUEST_INTERVAL).await;
    }
    Ok(())
}

fn report(limit: &Limit, filled: &Tally, flood: &Tally, observed: &Observations) -> Report {
    let Observations { passed, banned, admitted, .. } = *observed;
    let mut report = Report::default();
    for (phase, tally) in [("fill the store", filled), ("continue", flood)] {
        let per_second = tally.sent as f64 / tally.lasted.as_secs_f64().max(0.001);
        report.lines.push(format!(
            "{} addresses of one /48 {phase}, {per_second:.0} per second: {} passed",
            tally.sent, tally.passed
        ));
    }
    let max_passed = limit.allowance();
    report.lines.push(format!("existing client: {passed} passed, at most {max_passed} allowed"));
    report.lines.push(format!("existing client: {banned} of {DENIALS} denials are by its ban"));
    report.lines.push(format!("new clients of other networks: {admitted} of {NEWCOMERS} admitted"));
    let mut require = |is_right: bool, violation: String| {
        if !is_right {
            report.violations.push(format!("{NAME}: {violation}"));
        }
    };
    require(
        passed <= max_passed,
        format!("{passed} requests of an existing client passed, expected at most {max_passed}"),
    );
    require(
        banned + OFFENCES >= DENIALS,
        format!("only {banned} of {DENIALS} denials of an existing client are by its ban"),
    );
    require(
        admitted == NEWCOMERS,
        format!(
            "{} of {NEWCOMERS} new clients of other networks were denied",
            NEWCOMERS - admitted
        ),
    );
    report
}
