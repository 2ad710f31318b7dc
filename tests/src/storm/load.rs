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
    fleet::ServerAddress,
    limits::{CLIENT, COST, FREE, PAGES},
};

/// The number of client names. All connections use the same names.
pub const CLIENTS: usize = 3;
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

/// A client of one server. It connects again if the server is killed and started again.
#[derive(Debug)]
pub struct Client<'a> {
    address: &'a ServerAddress,
    /// The connection, and the generation of the server at its start.
    open: Option<(Connection, u64)>,
}

impl<'a> Client<'a> {
    /// Creates a client without a connection.
    #[must_use]
    pub fn of(address: &'a ServerAddress) -> Self {
        Self { address, open: None }
    }

    /// Sends a request, and returns the status of the response and its latency. Returns `None` if there is no response.
    /// An error is recorded in `stats`, unless the server was killed.
    pub fn get(
        &mut self,
        path: &str,
        lines: &str,
        stats: &mut ResponseStats,
    ) -> Option<(u16, Duration)> {
        let Some(generation) = self.address.generation() else {
            thread::sleep(RETRY_INTERVAL);
            return None;
        };
        let sent = Instant::now();
        let open = match self.open.take().filter(|(_, at)| *at == generation) {
            Some((connection, _)) => Ok(connection),
            None => self.address.connect(),
        };
        let response = open.and_then(|mut connection| {
            let (status, _) = connection.get(path, lines)?;
            self.open = Some((connection, generation));
            Ok(status)
        });
        match response {
            Ok(status) => {
                *stats.statuses.entry(status).or_default() += 1;
                Some((status, sent.elapsed()))
            }
            Err(error) => {
                if self.address.generation() == Some(generation) {
                    stats.errors.push(format!("{path}: {error}"));
                } else {
                    stats.interrupted += 1;
                }
                None
            }
        }
    }
}

/// The interval after which a client tries again to reach a server that was killed.
const RETRY_INTERVAL: Duration = Duration::from_millis(5);

/// The statistics of the responses that a connection received.
#[derive(Debug, Default)]
pub struct ResponseStats {
    /// The number of responses for each status.
    pub statuses: BTreeMap<u16, u64>,
    /// The latency in microseconds of each response to a request that holds no permit for some time.
    pub micros: Vec<u32>,
    /// The number of requests that ended without a response because the server was killed.
    pub interrupted: u64,
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
        self.interrupted += other.interrupted;
        self.errors.extend(other.errors);
    }
}

/// Sends requests for random pages to the server at this address until `stop` is set. `pause` is the mean pause between
/// two requests.
#[must_use]
pub fn load(
    address: &ServerAddress,
    seed: u64,
    pause: Duration,
    stop: &AtomicBool,
) -> ResponseStats {
    let mut random = SmallRng::seed_from_u64(seed);
    let (start, mut stats) = (Instant::now(), ResponseStats::default());
    let mut connection = Client::of(address);
    while !stop.load(Relaxed) {
        let page = &PAGES[random.random_range(0..PAGES.len())];
        let mut client = client(random.random_range(0..CLIENTS));
        if page.path == "/long" {
            let generation = start.elapsed().as_secs() / NEW_CLIENTS_EVERY.as_secs();
            client = format!("{client}-of-{generation}");
        }
        let cost = random.random_range(1..=page.max_cost);
        let free = if random.random_range(0..2) == 0 { "" } else { ": yes\r\n" };
        let name = if free.is_empty() { "" } else { FREE };
        let lines = format!("{CLIENT}: {client}\r\n{COST}: {cost}\r\n{name}{free}");
        if let Some((_, latency)) = connection.get(page.path, &lines, &mut stats) {
            stats.micros.push(latency.as_micros() as u32);
        }
        thread::sleep(pause.mul_f64(random.random_range(0.5..1.5)));
    }
    stats
}

/// Returns the name of the client with this number.
#[must_use]
pub fn client(number: usize) -> String {
    format!("client-{number}")
}
