//! Load on an HTTP server: on each connection, a request is sent as soon as the previous response arrives. All
//! connections share a thread.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, net::TcpStream};

use crate::BenchResult;

/// A response that takes longer than this means that the server hangs.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);
/// A request. The digits of the key are overwritten.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Key: key-000000\r\n\r\n";
const KEY_AT: usize = REQUEST.len() - 10;
/// Odd and not a multiple of five, so that all of 100,000 keys are used equally often, but not in order.
const STRIDE: u32 = 61_813;

/// Connections to a server.
pub struct Load {
    pub(crate) poll: Poll,
    events: Events,
    pub(crate) connections: Vec<Connection>,
    keys: u32,
    next_key: u32,
}

/// The counts of the responses.
#[derive(Debug, Default)]
pub struct Tally {
    /// The number of responses.
    pub responses: u64,
    /// The number of responses with an unexpected status.
    pub unexpected: u64,
    /// The last unexpected status.
    pub last_unexpected: u16,
    /// The total size of the responses in bytes.
    pub bytes: u64,
    /// The latency of each response in microseconds, sorted.
    pub micros: Vec<u32>,
}

pub(crate) struct Connection {
    stream: TcpStream,
    sent: Instant,
    received: Vec<u8>,
}

/// A request and its response.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    /// The connection.
    pub(crate) index: usize,
    /// When the request was sent.
    pub sent: Instant,
    /// When the response arrived.
    pub received: Instant,
    /// The status of the response.
    pub status: u16,
    /// The size of the response in bytes.
    pub bytes: usize,
}

impl Load {
    /// Opens this many connections, and distributes them evenly over the servers. The requests will use this many keys.
    ///
    /// # Errors
    ///
    /// If a server does not accept a connection.
    pub fn connect(servers: &[SocketAddr], keys: u32, connections: usize) -> BenchResult<Self> {
        let poll = Poll::new()?;
        let connect = |(index, address): (usize, &SocketAddr)| -> BenchResult<Connection> {
            let stream = std::net::TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(index), Interest::READABLE)?;
            Ok(Connection { stream, sent: Instant::now(), received: Vec::with_capacity(4096) })
        };
        let servers = servers.iter().cycle().take(connections);
        let connections = servers.enumerate().map(connect).collect::<BenchResult<Vec<_>>>()?;
        let events = Events::with_capacity(connections.len().max(1));
        Ok(Self { poll, events, connections, keys, next_key: 0 })
    }

    /// The number of connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Sends requests on all connections for this duration, and waits for the last responses.
    ///
    /// # Errors
    ///
    /// If a connection ends, or a response is invalid or missing.
    pub fn run(&mut self, duration: Duration, expected: u16) -> BenchResult<Tally> {
        let mut tally = Tally::default();
        let end = Instant::now() + duration;
        self.run_while(self.connections.len(), |exchange| {
            tally.add(exchange, expected, exchange.received - exchange.sent);
            exchange.received < end
        })?;
        tally.micros.sort_unstable();
        Ok(tally)
    }

    /// Sends a request on each of the first connections. After each response, `sends_again` decides whether the
    /// connection sends another request. Returns after the last response.
    ///
    /// # Errors
    ///
    /// If a connection ends, or a response is invalid or missing.
    pub fn run_while(
        &mut self,
        connections: usize,
        mut sends_again: impl FnMut(&Exchange) -> bool,
    ) -> BenchResult {
        let mut waiting = connections.min(self.connections.len());
        for index in 0..waiting {
            self.send(index)?;
        }
        let mut arrived = Vec::new();
        while waiting > 0 {
            self.receive(TIMEOUT, &mut arrived)?;
            if arrived.is_empty() {
                return Err("the server does not respond".into());
            }
            for exchange in arrived.drain(..).flatten() {
                if sends_again(&exchange) {
                    self.send(exchange.index)?;
                } else {
                    waiting -= 1;
                }
            }
        }
        Ok(())
    }

    /// Waits for events, and appends an item for each of them: the exchange if a response is complete.
    pub(crate) fn receive(
        &mut self,
        timeout: Duration,
        arrived: &mut Vec<Option<Exchange>>,
    ) -> BenchResult {
        self.poll.poll(&mut self.events, Some(timeout))?;
        for event in &self.events {
            let index = event.token().0;
            let Some(connection) = self.connections.get_mut(index) else {
                arrived.push(None);
                continue;
            };
            let response = connection.receive()?;
            arrived.push(response.map(|Response { status, bytes }| Exchange {
                index,
                sent: connection.sent,
                received: Instant::now(),
                status,
                bytes,
            }));
        }
        Ok(())
    }

    pub(crate) fn send(&mut self, index: usize) -> BenchResult {
        self.next_key = (self.next_key + STRIDE) % self.keys;
        let mut request: [u8; REQUEST.len()] = REQUEST.try_into()?;
        let mut rest = self.next_key;
        for digit in request[KEY_AT..KEY_AT + 6].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        let connection = &mut self.connections[index];
        connection.sent = Instant::now();
        // The send buffer has room for a request, because each connection has only one at a time.
        connection.stream.write_all(&request)?;
        Ok(())
    }
}

/// The relevant parts of a response.
struct Response {
    status: u16,
    bytes: usize,
}

impl Connection {
    /// Returns the response if it is complete.
    fn receive(&mut self) -> BenchResult<Option<Response>> {
        let mut part = [0; 4096];
        match self.stream.read(&mut part) {
            Ok(0) => return Err("the server closed a connection".into()),
            Ok(read) => self.received.extend_from_slice(&part[..read]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let response = read_response(&self.received)?;
        if response.is_some() {
            self.received.clear();
        }
        Ok(response)
    }
}

/// Parses a response. Returns `None` if it is incomplete.
fn read_response(bytes: &[u8]) -> BenchResult<Option<Response>> {
    let (mut rest, mut length, mut status) = (bytes, None, None);
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = rest[..end].trim_ascii_end();
        rest = &rest[end + 1..];
        if status.is_none() {
            status = Some(number(line.get(9..12).ok_or("no status")?)?);
        } else if line.len() > 15 && line[..15].eq_ignore_ascii_case(b"content-length:") {
            length = Some(number(line[15..].trim_ascii_start())?);
        } else if line.is_empty() {
            let length: usize = length.ok_or("a response without a length")?;
            let status = status.map_or(0, |status: usize| status as u16);
            let is_complete = rest.len() == length;
            return Ok(is_complete.then_some(Response { status, bytes: bytes.len() }));
        }
    }
    Ok(None)
}

fn number(digits: &[u8]) -> BenchResult<usize> {
    Ok(str::from_utf8(digits)?.parse()?)
}

impl Tally {
    pub(crate) fn add(&mut self, exchange: &Exchange, expected: u16, latency: Duration) {
        self.responses += 1;
        self.bytes += exchange.bytes as u64;
        self.micros.push(latency.as_micros() as u32);
        if exchange.status != expected {
            self.unexpected += 1;
            self.last_unexpected = exchange.status;
        }
    }
}
