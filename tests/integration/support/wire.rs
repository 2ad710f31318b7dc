//! Requests written byte by byte, for what no client library would send.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use super::PATIENCE;

/// What a server answers.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    Status(u16),
    /// The end of the connection.
    Nothing,
}

pub fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The answer to these bytes, on a connection of their own.
pub fn ask(server: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = connect(server);
    // A server that refuses may do so before it has read everything.
    let _ = stream.write_all(request);
    answer(&mut stream)
}

/// The next answer on a connection, which is read to its end.
pub fn answer(stream: &mut TcpStream) -> Answer {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            // Refused before all was read, the connection may be reset.
            _ => return Answer::Nothing,
        }
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    if stream.read_exact(&mut body).is_err() {
        return Answer::Nothing;
    }
    Answer::Status(head["http/1.1 ".len()..][..3].parse().unwrap())
}
