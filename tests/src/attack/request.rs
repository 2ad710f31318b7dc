//! Requests as bytes that are ready to send.

/// Which forwarded addresses the requests have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// No forwarded address: the client is the TCP peer.
    Peer,
    /// Each number is in its own IPv6 /32 network, like clients of different providers.
    ManyNetworks,
    /// Each number is in its own IPv6 /64 network of the same /48.
    OneNetwork,
}

/// A GET request in one buffer. `set_address` overwrites the forwarded address in place.
#[derive(Clone, Debug)]
pub struct Request {
    bytes: Vec<u8>,
    addresses: Addresses,
    /// The offset of the address in the buffer. The address begins with four groups of four hexadecimal digits.
    digits_at: usize,
}

/// The third group of the /48 network of [`Addresses::OneNetwork`].
const NETWORK: u32 = 0xa77a;

impl Request {
    /// A request with these additional header lines.
    #[must_use]
    pub fn new(addresses: Addresses, lines: &str) -> Self {
        Self::for_path("/", addresses, lines)
    }

    /// A request for this path with these additional header lines.
    #[must_use]
    pub fn for_path(path: &str, addresses: Addresses, lines: &str) -> Self {
        let mut head = format!("GET {path} HTTP/1.1\r\nHost: attack\r\n{lines}");
        let mut digits_at = 0;
        if addresses != Addresses::Peer {
            head += "X-Forwarded-For: ";
            digits_at = head.len();
            head += "0000:0000:0000:0000::1\r\n";
        }
        head += "\r\n";
        let mut request = Self { bytes: head.into_bytes(), addresses, digits_at };
        request.set_address(0);
        request
    }

    /// Sets the forwarded address to the one with this number.
    pub fn set_address(&mut self, number: u32) {
        let groups = match self.addresses {
            Addresses::Peer => return,
            // 3000::/4 contains no network with embedded IPv4 addresses.
            Addresses::ManyNetworks => [0x3000 | number & 0xfff, number >> 12 & 0xffff, 0, 0],
            Addresses::OneNetwork => [0x2001, 0x0db8, NETWORK, number & 0xffff],
        };
        for (group, at) in groups.into_iter().zip((self.digits_at..).step_by(5)) {
            for (index, digit) in self.bytes[at..at + 4].iter_mut().enumerate() {
                let value = group >> (12 - 4 * index) & 0xf;
                *digit = b"0123456789abcdef"[value as usize];
            }
        }
    }

    /// The bytes to send.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
