//! HTTP requests that are already encoded as bytes.

/// The kind of forwarded addresses that the requests have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// The requests have no forwarded address. The client's address is the peer address of the TCP connection.
    Peer,
    /// Each address is in a different IPv6 /32 network, like the addresses of clients with different providers.
    ManyNetworks,
    /// Each address is in a different IPv6 /64 network, and all these networks are in one /48 network.
    OneNetwork,
}

/// A GET request in one buffer. The method `set_address` overwrites the forwarded address in place.
#[derive(Clone, Debug)]
pub struct Request {
    bytes: Vec<u8>,
    addresses: Addresses,
    /// The offset at which the address begins in the buffer. The address begins with four groups of four hexadecimal
    /// digits.
    digits_at: usize,
}

/// The third group of the /48 network that [`Addresses::OneNetwork`] uses.
const NETWORK: u32 = 0xa77a;

impl Request {
    /// Creates a request for the page `/`. `lines` are additional header lines.
    #[must_use]
    pub fn new(addresses: Addresses, lines: &str) -> Self {
        Self::for_path("/", addresses, lines)
    }

    /// Creates a request for this path with these additional header lines.
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

    /// Replaces the forwarded address with the address that has this number.
    pub fn set_address(&mut self, number: u32) {
        let groups = match self.addresses {
            Addresses::Peer => return,
            // The network 3000::/4 contains no network with embedded IPv4 addresses.
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

    /// The bytes of the request, which can be sent as they are.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
