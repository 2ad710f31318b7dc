//! A minimal client of WebSockets (RFC 6455).

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use super::wire::{Head, open};

const HANDSHAKE: &str = "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

/// Sends the handshake of a WebSocket, and returns the connection and the response.
pub fn handshake(server: SocketAddr, path: &str) -> (TcpStream, Head) {
    open(server, &format!("GET {path} HTTP/1.1{HANDSHAKE}"))
}

/// Sends a text message. Its mask is zero, so the text is not changed.
pub fn send_text(stream: &mut TcpStream, text: &str) {
    let length = u8::try_from(text.len()).unwrap();
    let frame = [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat();
    stream.write_all(&frame).unwrap();
}

/// Reads a frame, and returns its opcode and its payload.
pub fn read_frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    let mut payload = vec![0; head[1].into()];
    stream.read_exact(&mut payload).unwrap();
    (head[0] & 0x0f, payload)
}

/// The opcode of a text message.
pub const TEXT: u8 = 1;
/// The opcode of the end of a connection.
pub const CLOSE: u8 = 8;
