//! Requests over HTTP, on connections that are kept.

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
    PATIENCE,
    limits::{CLIENT, COST, FREE, PAGES},
};

/// So many clients there are.
const CLIENTS: usize = 3;
/// Of those that hardly anything is ever forgotten of, new ones come after so long.
const NEW_CLIENTS_EVERY: Duration = Duration::from_secs(4);

/// A connection to a server.
#[derive(Debug)]
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Connects.
    ///
    /// # Errors
    ///
    /// If that cannot be.
    pub fn to(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port)))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// The status of the answer to a GET with these further lines in its head, and the body.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn get(&mut self, path: &str, lines: &str) -> Result<(u16, String)> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: storm\r\n{lines}\r\n");
        self.0.get_mut().write_all(request.as_bytes())?;
        let (mut status, mut length) = (None, 0);
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(Error::other("the server ended the connection"));
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
        let status = status.ok_or_else(|| Error::other("an answer without a status"))?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

/// What came of requests.
#[derive(Debug, Default)]
pub struct Answers {
    /// How many had which status.
    pub statuses: BTreeMap<u16, u64>,
    /// How long each took, in microseconds.
    pub took: Vec<u32>,
    /// What went wrong with connections.
    pub broken: Vec<String>,
}

impl Answers {
    /// Adds those of another connection.
    pub fn add(&mut self, other: Self) {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.took.extend(other.took);
        self.broken.extend(other.broken);
    }
}

/// Asks a server for one page after the other, with a pause of about so long between them, until it is told to stop.
#[must_use]
pub fn load(port: u16, seed: u64, pause: Duration, stop: &AtomicBool) -> Answers {
    let mut random = SmallRng::seed_from_u64(seed);
    let (start, mut answers) = (Instant::now(), Answers::default());
    let mut connection = Connection::to(port);
    while !stop.load(Relaxed) {
        let page = &PAGES[random.random_range(0..PAGES.len())];
        let mut client = format!("client-{}", random.random_range(0..CLIENTS));
        if page.path == "/long" {
            let turn = start.elapsed().as_secs() / NEW_CLIENTS_EVERY.as_secs();
            client = format!("{client}-of-{turn}");
        }
        let cost = random.random_range(1..=page.max_cost);
        let free = if random.random_range(0..2) == 0 { "" } else { ": yes\r\n" };
        let name = if free.is_empty() { "" } else { FREE };
        let lines = format!("{CLIENT}: {client}\r\n{COST}: {cost}\r\n{name}{free}");
        let asked = Instant::now();
        let answer =
            connection.as_mut().map_err(|error| Error::new(error.kind(), error.to_string()));
        match answer.and_then(|connection| connection.get(page.path, &lines)) {
            Ok((status, _)) => {
                *answers.statuses.entry(status).or_default() += 1;
                answers.took.push(asked.elapsed().as_micros() as u32);
            }
            Err(error) => {
                answers.broken.push(format!("{}: {error}", page.path));
                connection = Connection::to(port);
            }
        }
        thread::sleep(pause.mul_f64(random.random_range(0.5..1.5)));
    }
    answers
}
