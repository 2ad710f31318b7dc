//! The load of a storm, which is a test that injects random faults. The load consists of clients that send HTTP
//! requests on keep-alive connections.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Error, Read, Result, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::{
    TIMEOUT,
    limits::{CLIENT, COST, FREE, PAGES},
};

/// The number of client names. All connections use the same names.
const CLIENTS: usize = 3;
/// The interval after which new client names are used for `/long`. The window of this page is long, so without new
/// names almost all requests would be denied.
const NEW_CLIENTS_EVERY: Duration = Duration::from_secs(4);

/// A keep-alive connection to a server.
#[derive(Debug)]
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Connects to the server at this port.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not accept the connection.
    pub fn to(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port)))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a GET request with these additional header lines, and returns the status and the body of the response.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection ends or the response is invalid.
    pub fn get(&mut self, path: &str, lines: &str) -> Result<(u16, String)> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: storm\r\n{lines}\r\n");
        self.0.get_mut().write_all(request.as_bytes())?;
        let (mut status, mut length) = (None, 0);
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(Error::other("the server closed the connection"));
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest.get(..3).and_then(|status| status.parse().ok());
            }
            if let Some(rest) = line.strip_prefix("content-length: ") {
                length = rest.parse().map_err(Error::other)?;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        let status = status.ok_or_else(|| Error::other("a response without a status"))?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

/// The statistics of the responses that a connection received.
#[derive(Debug, Default)]
pub struct ResponseStats {
    /// The number of responses for each status.
    pub statuses: BTreeMap<u16, u64>,
    /// The latency of each response in microseconds.
    pub micros: Vec<u32>,
    /// The messages of connection errors.
    pub errors: Vec<String>,
}

impl ResponseStats {
    /// Adds the statistics of another connection to these statistics.
    pub fn add(&mut self, other: Self) {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.micros.extend(other.micros);
        self.errors.extend(other.errors);
    }
}

/// Sends requests for random pages to the server at this port until `stop` is set. `pause` is the mean pause between
/// two requests.
#[must_use]
pub fn load(port: u16, seed: u64, pause: Duration, stop: &AtomicBool) -> ResponseStats {
    let mut random = SmallRng::seed_from_u64(seed);
    let (start, mut stats) = (Instant::now(), ResponseStats::default());
    let mut connection = Connection::to(port);
    while !stop.load(Relaxed) {
        let page = &PAGES[random.random_range(0..PAGES.len())];
        let mut client = format!("client-{}", random.random_range(0..CLIENTS));
        if page.path == "/long" {
            let generation = start.elapsed().as_secs() / NEW_CLIENTS_EVERY.as_secs();
            client = format!("{client}-of-{generation}");
        }
        let cost = random.random_range(1..=page.max_cost);
        let free = if random.random_range(0..2) == 0 { "" } else { ": yes\r\n" };
        let name = if free.is_empty() { "" } else { FREE };
        let lines = format!("{CLIENT}: {client}\r\n{COST}: {cost}\r\n{name}{free}");
        let sent = Instant::now();
        let open = connection.as_mut().map_err(|error| Error::new(error.kind(), error.to_string()));
        match open.and_then(|connection| connection.get(page.path, &lines)) {
            Ok((status, _)) => {
                *stats.statuses.entry(status).or_default() += 1;
                stats.micros.push(sent.elapsed().as_micros() as u32);
            }
            Err(error) => {
                stats.errors.push(format!("{}: {error}", page.path));
                connection = Connection::to(port);
            }
        }
        thread::sleep(pause.mul_f64(random.random_range(0.5..1.5)));
    }
    stats
}
