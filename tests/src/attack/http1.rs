//! A minimal HTTP/1.1 client with one connection. The client parses only the parts of a response that a measurement
//! needs.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

/// The parts of a response that a measurement needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The status of the response.
    pub status: u16,
    /// Whether the response has the header `X-RateLimit-Limit`. Only a limit that made a decision adds this header.
    pub is_decided: bool,
    /// The value of the header `Retry-After` in seconds; `None` if the response does not have this header.
    pub retry_after: Option<u64>,
}

/// A keep-alive connection to a server.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    /// Connects to the server at `to` from the loopback address `from`.
    ///
    /// # Errors
    ///
    /// Returns an error if the address cannot be bound, or the server does not accept the connection.
    pub async fn open(from: Ipv4Addr, to: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((from, 0)))?;
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(2_048) })
    }

    /// Sends a request and waits for its response.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection ends or the response is invalid.
    pub async fn send(&mut self, request: &[u8]) -> io::Result<Response> {
        self.stream.write_all(request).await?;
        self.received.clear();
        loop {
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(response) = read_response(&self.received)? {
                return Ok(response);
            }
        }
    }
}

/// Parses a response. Returns `None` if the bytes are not a complete response yet.
///
/// # Errors
///
/// Returns an error if the bytes are not an HTTP/1.1 response.
pub fn read_response(bytes: &[u8]) -> io::Result<Option<Response>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let (head, body) = (&bytes[..end], &bytes[end + 4..]);
    let status = head.get(9..12).and_then(number).ok_or(io::ErrorKind::InvalidData)?;
    let mut response = Response { status: status as u16, ..Response::default() };
    let mut length = 0;
    for line in head.split(|byte| *byte == b'\n').skip(1) {
        if let Some(value) = value_of(line, b"content-length:") {
            length = number(value).ok_or(io::ErrorKind::InvalidData)?;
        } else if let Some(value) = value_of(line, b"retry-after:") {
            response.retry_after = number(value);
        } else if value_of(line, b"x-ratelimit-limit:").is_some() {
            response.is_decided = true;
        }
    }
    Ok((body.len() as u64 >= length).then_some(response))
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let is_it = line.len() > name.len() && line[..name.len()].eq_ignore_ascii_case(name);
    is_it.then(|| line[name.len()..].trim_ascii())
}

fn number(digits: &[u8]) -> Option<u64> {
    str::from_utf8(digits).ok()?.parse().ok()
}
