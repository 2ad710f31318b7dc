//! Measures the CPU time that the application server uses for denied HTTP/2 requests with megabytes of headers. HPACK
//! compresses these headers to a few kilobytes.

use std::time::Duration;

use super::{
    AttackResult, Report,
    http2::{ACCEPT, COOKIE, Connection, Repeated},
    limits::Limit,
    server::{Server, Setup},
};

/// The name of this attack on the command line.
pub const NAME: &str = "header-flood";

const VALUE_BYTES: usize = 4_000;
const REQUESTS: u32 = 5;
/// The maximum CPU time of a denied request is twice the CPU time of a request with the same headers to a page
/// without a limit, plus this duration.
const MAX_EXTRA: Duration = Duration::from_millis(2);

/// A header of which each request contains many copies.
struct Flood {
    label: &'static str,
    name: u8,
    /// The text that is repeated to make the value of the header.
    part: &'static str,
    /// The number of copies of the header in a request. 4,000 copies are 16 MB, which is the server's default
    /// maximum for the headers of a request.
    times: usize,
    limit: &'static str,
}

const ACCEPT_TYPES: Flood =
    Flood { label: "Accept: a/b", name: ACCEPT, part: "a/b;q=0.1,", times: 4_000, limit: "single" };
const FLOODS: [Flood; 3] = [
    ACCEPT_TYPES,
    Flood { label: "Accept: application/json", part: "application/json;q=0.1,", ..ACCEPT_TYPES },
    Flood { label: "Cookie", name: COOKIE, part: "a=b; ", times: 1_000, limit: "cookie" },
];

/// Measures the CPU time of the server per request. To apply the limits, the server must read the repeated header.
///
/// # Errors
///
/// Returns an error if the server does not respond.
pub fn measure() -> AttackResult<Report> {
    let mut report = Report::default();
    report.lines.push(line(["header", "on wire", "headers", "unlimited", "denied", "no response"]));
    for flood in &FLOODS {
        for times in [1, flood.times] {
            measure_flood(flood, times, &mut report)?;
        }
    }
    Ok(report)
}

fn measure_flood(flood: &Flood, times: usize, report: &mut Report) -> AttackResult {
    let limit = Limit::named(flood.limit).ok_or("unknown limit")?;
    let setup =
        Setup { store: "memory", prefix: "", mode: "open", replicas: 1, limit, deadline: None };
    let server = Server::start(setup)?;
    let mut connection = Connection::open(server.http2())?;
    for _ in 0..limit.allowance() {
        connection.get("/", None)?;
    }
    if connection.get("/", None)? {
        return Err("the client is not denied before the flood".into());
    }
    let value = flood.part.repeat(VALUE_BYTES / flood.part.len());
    let (wire, headers) = (value.len() + times, value.len() * times);
    let repeated = Repeated { name: flood.name, value, times };
    let (free, _) = cpu(&server, "/free", &repeated)?;
    let (denied, lost) = cpu(&server, "/", &repeated)?;
    let millis = |duration: Duration| format!("{:.2} ms", duration.as_secs_f64() * 1e3);
    let label = format!("{}, {times} times", flood.label);
    report.lines.push(line([
        &label,
        &format!("{:.1} KB", wire as f64 / 1e3),
        &format!("{:.1} MB", headers as f64 / 1e6),
        &millis(free),
        &millis(denied),
        &lost.to_string(),
    ]));
    if denied > 2 * free + MAX_EXTRA {
        report.violations.push(format!(
            "{NAME}: a denied request with {label} uses {} of CPU time, and {} without a limit",
            millis(denied),
            millis(free)
        ));
    }
    Ok(())
}

/// Returns the server's CPU time per request, and the number of requests without a response.
///
/// Each request uses a new connection. If handling a request takes longer than the server's keep-alive timeout, the
/// server closes the connection, so the next request on this connection would fail.
fn cpu(server: &Server, path: &str, repeated: &Repeated) -> AttackResult<(Duration, u64)> {
    let (before, mut lost) = (server.cpu()?, 0);
    for _ in 0..REQUESTS {
        match Connection::open(server.http2())?.get(path, Some(repeated)) {
            Ok(is_ok) if is_ok == (path == "/free") => {}
            Ok(_) => return Err(format!("an unexpected status for {path}").into()),
            Err(_) => lost += 1,
        }
    }
    Ok(((server.cpu()? - before) / REQUESTS, lost))
}

fn line(cells: [&str; 6]) -> String {
    let [label, wire, headers, free, denied, lost] = cells;
    format!("{label:<38}{wire:>9}{headers:>10}{free:>12}{denied:>12}{lost:>13}")
}
