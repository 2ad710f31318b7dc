//! Sends raw requests on a TCP socket. They may contain bytes that no client library would send.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use tokio::io::AsyncWriteExt as _;

use super::TEST_TIMEOUT;

/// The response of a server to a raw request.
#[derive(Debug, PartialEq, Eq)]
pub enum WireResponse {
    Status(u16),
    /// The server closed the connection and did not send a complete response.
    Closed,
}

pub fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    stream
}

/// Sends these bytes on a new connection, and reads the response.
pub fn send(server: SocketAddr, request: &[u8]) -> WireResponse {
    let mut stream = connect(server);
    // The server may reject the request and close the connection before it has read all bytes. Then the write may fail,
    // and the function ignores this error.
    let _ = stream.write_all(request);
    read_response(&mut stream)
}

/// Sends these bytes on a new connection, and resets the connection. If the server accepts the connection later, it
/// receives the bytes, but cannot read the address of the client. The function needs a Tokio runtime.
pub async fn send_and_reset(server: SocketAddr, request: &[u8]) {
    let mut stream = tokio::net::TcpStream::connect(server).await.unwrap();
    stream.write_all(request).await.unwrap();
    // With this option, the operating system closes the connection with a TCP reset instead of a normal close.
    stream.set_zero_linger().unwrap();
}

/// Reads the next response on a connection, including the whole body.
pub fn read_response(stream: &mut TcpStream) -> WireResponse {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            // If the server rejects a request before it has read all bytes, the connection may end with a TCP reset.
            _ => return WireResponse::Closed,
        }
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    if stream.read_exact(&mut body).is_err() {
        return WireResponse::Closed;
    }
    WireResponse::Status(head["http/1.1 ".len()..][..3].parse().unwrap())
}

/// A response without its body. The body is still on the connection.
#[derive(Debug)]
pub struct Head {
    pub status: u16,
    text: String,
}

impl Head {
    pub fn read(stream: &mut TcpStream) -> Self {
        let mut text = Vec::new();
        let mut byte = [0];
        while !text.ends_with(b"\r\n\r\n") {
            assert_eq!(stream.read(&mut byte).unwrap(), 1, "the server closed the connection");
            text.push(byte[0]);
        }
        let text = String::from_utf8(text).unwrap().to_lowercase();
        Self { status: text["http/1.1 ".len()..][..3].parse().unwrap(), text }
    }

    /// Returns the value of a header. `name` must be in lower case, and so is the value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Sends the head of a request on a new connection, and reads the head of the response.
pub fn open(server: SocketAddr, request: &str) -> (TcpStream, Head) {
    let mut stream = connect(server);
    write!(stream, "{request}\r\nHost: test\r\n\r\n").unwrap();
    let head = Head::read(&mut stream);
    (stream, head)
}

/// Reads from a stream until the text has arrived.
pub fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut received = String::new();
    let mut part = [0; 1_024];
    while !received.contains(text) {
        let read = stream.read(&mut part).unwrap();
        assert!(read > 0, "the server closed the connection after {received:?}");
        received.push_str(&String::from_utf8_lossy(&part[..read]));
    }
    received
}
