//! Measures the CPU time that Redis uses for refunds from sliding-window logs with up to a million entries.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::mpsc,
    thread,
    time::Duration,
};

use super::{
    AttackResult, Report, TIMEOUT,
    http1::Connection,
    limits::Limit,
    request::{Addresses, Request},
    server::{Server, Setup},
    store::{Kind, Store},
};

/// The name of this attack on the command line.
pub const NAME: &str = "refund-cost";

const CASES: [(&str, u32); 5] = [
    ("refund-100000", 10_000),
    ("refund-100000", 100_000),
    ("refund-1000000", 10_000),
    ("refund-1000000", 100_000),
    ("refund-1000000", 1_000_000),
];
/// The maximum number of units that one request may take from a sliding-window log.
const MAX_COST: u32 = 10_000;
/// The number of measured requests for each kind of HTTP request.
const REQUESTS: u32 = 20;
/// The maximum time for which the circuit breaker blocks checks after a slow store operation.
const BREAKER: Duration = Duration::from_millis(300);
/// The maximum number of requests without a decision. With a higher number, the measurement ends with an error.
const MAX_UNDECIDED: u64 = 200;
/// The maximum CPU time of a refund, as a multiple of the CPU time of a check. The check uses a sliding-window log
/// with 10,000 entries.
const MAX_REFUND_IN_CHECKS: u32 = 20;

/// A client with one connection.
struct Client {
    runtime: tokio::runtime::Runtime,
    connection: Connection,
}

/// The CPU time that Redis uses per request.
struct Costs {
    check: Duration,
    refund_of_newest: Duration,
    refund_of_oldest: Duration,
    undecided: u64,
}

/// Measures the CPU time that Redis uses for checks and refunds.
///
/// # Errors
///
/// Returns an error if a server does not respond.
pub fn measure() -> AttackResult<Report> {
    let mut report = Report::default();
    report.lines.push(format!(
        "{:<18}{:>10}{:>14}{:>20}{:>20}{:>11}",
        "limit", "entries", "a check", "refund of newest", "refund of oldest", "unchecked"
    ));
    let mut check_of_small_log = None;
    for (name, entries) in CASES {
        let limit = Limit::named(name).ok_or("unknown limit")?;
        let costs = measure_case(limit, entries)?;
        let micros = |duration: Duration| format!("{:.0} µs", duration.as_secs_f64() * 1e6);
        report.lines.push(format!(
            "{:<18}{entries:>10}{:>14}{:>20}{:>20}{:>11}",
            limit.rate,
            micros(costs.check),
            micros(costs.refund_of_newest),
            micros(costs.refund_of_oldest),
            costs.undecided,
        ));
        let max_refund = MAX_REFUND_IN_CHECKS * *check_of_small_log.get_or_insert(costs.check);
        let refund = costs.refund_of_newest.max(costs.refund_of_oldest);
        if refund > max_refund {
            report.violations.push(format!(
                "{NAME}: a refund from {entries} entries under {} takes {refund:.1?} of Redis CPU time, expected at most \
                 {max_refund:.1?}",
                limit.rate
            ));
        }
        if costs.undecided > 0 {
            report.violations.push(format!(
                "{NAME}: {} requests with {entries} entries under {} had no decision",
                costs.undecided, limit.rate
            ));
        }
    }
    Ok(report)
}

fn measure_case(limit: &'static Limit, entries: u32) -> AttackResult<Costs> {
    let store = Store::start(Kind::Redis, Duration::ZERO)?;
    let setup = Setup {
        store: &store.url,
        prefix: "attack",
        mode: "open",
        replicas: 1,
        limit,
        deadline: None,
    };
    let server = Server::start(setup)?;
    let redis = &store.nodes[0];
    let mut client = Client::connect(server.http1())?;
    // Right after its start, the application server may not have a connection to Redis yet.
    while client.send("X-Cost: 0\r\n")? > 0 {
        thread::sleep(Duration::from_millis(20));
    }

    // These checks add the oldest entries of the log. The server refunds the checks at the end of the measurement.
    let (sender, responses) = mpsc::channel();
    for _ in 0..REQUESTS {
        let (mut client, sender) = (Client::connect(server.http1())?, sender.clone());
        thread::spawn(move || sender.send(client.send("X-Hold: 1\r\n")));
    }
    thread::sleep(Duration::from_millis(300));

    let mut undecided = 0;
    let mut left = entries.saturating_sub(4 * REQUESTS);
    while left > 0 {
        let cost = left.min(MAX_COST);
        match client.send(&format!("X-Cost: {cost}\r\nX-Status: 500\r\n"))? {
            0 => left -= cost,
            _ => undecided += 1,
        }
        require_few(undecided)?;
    }
    let mut cpu = |lines: &str| -> AttackResult<Duration> {
        let (before, mut decided) = (redis.cpu()?, 0);
        while decided < REQUESTS {
            match client.send(lines)? {
                0 => decided += 1,
                _ => {
                    undecided += 1;
                    thread::sleep(BREAKER);
                }
            }
            require_few(undecided)?;
        }
        Ok((redis.cpu()? - before) / REQUESTS)
    };
    let check = cpu("X-Status: 500\r\n")?;
    let check_and_refund = cpu("")?;

    // The server releases one waiting request at a time. Otherwise the refunds would wait for each other and miss
    // their deadline.
    let before = redis.cpu()?;
    for _ in 0..REQUESTS {
        server.get("/release")?;
        undecided += responses.recv_timeout(TIMEOUT)??;
    }
    let refund_of_oldest = (redis.cpu()? - before) / REQUESTS;
    let refund_of_newest = check_and_refund.saturating_sub(check);
    Ok(Costs { check, refund_of_newest, refund_of_oldest, undecided })
}

/// Returns an error if too many requests got no decision.
fn require_few(undecided: u64) -> AttackResult {
    match undecided > MAX_UNDECIDED {
        true => Err(format!("{undecided} requests had no decision").into()),
        false => Ok(()),
    }
}

impl Client {
    fn connect(to: SocketAddr) -> AttackResult<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let connection = runtime.block_on(Connection::open(Ipv4Addr::LOCALHOST, to))?;
        Ok(Self { runtime, connection })
    }

    /// Sends a request with these header lines. Returns 1 if the response has no decision, and 0 otherwise.
    fn send(&mut self, lines: &str) -> AttackResult<u64> {
        let request = Request::new(Addresses::Peer, lines);
        let response = self.runtime.block_on(self.connection.send(request.bytes()))?;
        if response.status == 429 {
            return Err("the log is full too early".into());
        }
        Ok(u64::from(!response.is_decided))
    }
}
