//! Load on a server: connections that each send a request as soon as the one before is answered, all by one thread.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, net::TcpStream};

use crate::Outcome;

const CONNECTIONS: usize = 64;
/// No answer takes longer, unless the server hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// Where in a request the digits of the key are.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Key: key-000000\r\n\r\n";
const KEY_AT: usize = REQUEST.len() - 10;
/// Odd and no multiple of five, so that all of a hundred thousand keys come equally often, in no order.
const STRIDE: u32 = 61_813;

/// Connections to a server.
pub struct Load {
    poll: Poll,
    connections: Vec<Connection>,
    keys: u32,
    next_key: u32,
}

/// What came back.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many answers.
    pub answers: u64,
    /// How many of them had another status than expected, and the last such.
    pub unexpected: u64,
    /// The last status that was not expected.
    pub last_unexpected: u16,
    /// Their bytes.
    pub bytes: u64,
    /// How long each took, in microseconds; sorted.
    pub micros: Vec<u32>,
}

struct Connection {
    stream: TcpStream,
    sent: Instant,
    received: Vec<u8>,
}

impl Load {
    /// Connects to this server, to ask for so many keys.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub fn connect(address: SocketAddr, keys: u32) -> Outcome<Self> {
        let poll = Poll::new()?;
        let connect = |place| -> Outcome<Connection> {
            let stream = std::net::TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(place), Interest::READABLE)?;
            Ok(Connection { stream, sent: Instant::now(), received: Vec::with_capacity(4096) })
        };
        let connections = (0..CONNECTIONS).map(connect).collect::<Outcome<_>>()?;
        Ok(Self { poll, connections, keys, next_key: 0 })
    }

    /// Asks for so long, and waits for the last answers.
    ///
    /// # Errors
    ///
    /// If a connection ends, an answer is none, or there is none.
    pub fn run(&mut self, lasts: Duration, expected: u16) -> Outcome<Tally> {
        let (mut tally, mut events) = (Tally::default(), Events::with_capacity(CONNECTIONS));
        let end = Instant::now() + lasts;
        for place in 0..self.connections.len() {
            self.send(place)?;
        }
        let mut waiting = self.connections.len();
        while waiting > 0 {
            self.poll.poll(&mut events, Some(PATIENCE))?;
            if events.is_empty() {
                return Err("the server does not answer".into());
            }
            for event in &events {
                let place = event.token().0;
                let Some(answer) = self.connections[place].receive()? else { continue };
                let now = Instant::now();
                tally.add(&answer, expected, now - self.connections[place].sent);
                if now < end {
                    self.send(place)?;
                } else {
                    waiting -= 1;
                }
            }
        }
        tally.micros.sort_unstable();
        Ok(tally)
    }

    fn send(&mut self, place: usize) -> Outcome {
        self.next_key = (self.next_key + STRIDE) % self.keys;
        let mut request: [u8; REQUEST.len()] = REQUEST.try_into()?;
        let mut rest = self.next_key;
        for digit in request[KEY_AT..KEY_AT + 6].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        let connection = &mut self.connections[place];
        connection.sent = Instant::now();
        // So few bytes always have room where nothing else is under way.
        connection.stream.write_all(&request)?;
        Ok(())
    }
}

/// An answer: its status and its length.
struct Answer {
    status: u16,
    bytes: usize,
}

impl Connection {
    /// The answer, if it is there in full.
    fn receive(&mut self) -> Outcome<Option<Answer>> {
        let mut part = [0; 4096];
        match self.stream.read(&mut part) {
            Ok(0) => return Err("the server has closed a connection".into()),
            Ok(read) => self.received.extend_from_slice(&part[..read]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let answer = read_answer(&self.received)?;
        if answer.is_some() {
            self.received.clear();
        }
        Ok(answer)
    }
}

/// The answer that these bytes are, `None` if more of it is to come.
fn read_answer(bytes: &[u8]) -> Outcome<Option<Answer>> {
    let (mut rest, mut length, mut status) = (bytes, None, None);
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = rest[..end].trim_ascii_end();
        rest = &rest[end + 1..];
        if status.is_none() {
            status = Some(number(line.get(9..12).ok_or("no status")?)?);
        } else if line.len() > 15 && line[..15].eq_ignore_ascii_case(b"content-length:") {
            length = Some(number(line[15..].trim_ascii_start())?);
        } else if line.is_empty() {
            let length: usize = length.ok_or("an answer without a length")?;
            let status = status.map_or(0, |status: usize| status as u16);
            let is_whole = rest.len() == length;
            return Ok(is_whole.then_some(Answer { status, bytes: bytes.len() }));
        }
    }
    Ok(None)
}

fn number(digits: &[u8]) -> Outcome<usize> {
    Ok(str::from_utf8(digits)?.parse()?)
}

impl Tally {
    fn add(&mut self, answer: &Answer, expected: u16, took: Duration) {
        self.answers += 1;
        self.bytes += answer.bytes as u64;
        self.micros.push(took.as_micros() as u32);
        if answer.status != expected {
            self.unexpected += 1;
            self.last_unexpected = answer.status;
        }
    }
}
