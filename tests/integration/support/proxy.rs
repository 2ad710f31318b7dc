//! A TCP proxy that can inject network faults into the connections that it forwards.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::redis_server::url;

pub struct Proxy {
    port: u16,
    relay: Arc<Relay>,
}

/// The faults that apply to the forwarded bytes of all connections.
#[derive(Clone, Copy, Debug, Default)]
pub struct NetworkFaults {
    /// A constant delay: the proxy waits for this time after each read, before it forwards the bytes.
    pub delay: Duration,
    /// The maximum of a random delay, which the proxy adds to `delay`.
    pub jitter: Duration,
    /// Whether the proxy does not forward the bytes that clients send.
    pub stalls_requests: bool,
    /// Whether the proxy does not forward the bytes that the server sends.
    pub stalls_replies: bool,
    /// Whether the proxy writes each byte in a separate call.
    pub splits_bytes: bool,
    /// The number of bytes of a reply after which the proxy closes the connection. With `None`, it forwards whole
    /// replies.
    pub truncates_replies_after: Option<usize>,
    /// Whether the proxy replaces each byte of a reply by `~`.
    pub corrupts_replies: bool,
}

struct Relay {
    upstream: AtomicU16,
    faults: Mutex<NetworkFaults>,
    accepted: AtomicU64,
    /// Two sockets for each connection: the socket of the client, and the socket of the server.
    streams: Mutex<Vec<TcpStream>>,
    is_stopped: AtomicBool,
}

impl Proxy {
    /// Starts a proxy in front of the server at this port.
    pub fn to(upstream: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let relay = Arc::new(Relay {
            upstream: AtomicU16::new(upstream),
            faults: Mutex::default(),
            accepted: AtomicU64::new(0),
            streams: Mutex::default(),
            is_stopped: AtomicBool::new(false),
        });
        let acceptor = Arc::clone(&relay);
        thread::spawn(move || {
            for client in listener.incoming() {
                if acceptor.is_stopped.load(SeqCst) {
                    return;
                }
                acceptor.accepted.fetch_add(1, SeqCst);
                Arc::clone(&acceptor).connect(client.unwrap());
            }
        });
        Self { port, relay }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        url(self.port)
    }

    /// Sets the faults of all connections, including the connections that are already open.
    pub fn set_faults(&self, faults: NetworkFaults) {
        *self.relay.faults.lock().unwrap() = faults;
    }

    /// Ends all faults, for all connections.
    pub fn clear_faults(&self) {
        self.set_faults(NetworkFaults::default());
    }

    /// Changes the server to which the proxy forwards new connections.
    pub fn set_upstream(&self, upstream: u16) {
        self.relay.upstream.store(upstream, SeqCst);
    }

    /// Closes all open connections.
    pub fn disconnect_all(&self) {
        for stream in self.relay.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Returns the number of connections that clients have opened until now.
    pub fn connections(&self) -> u64 {
        self.relay.accepted.load(SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.relay.is_stopped.store(true, SeqCst);
        self.disconnect_all();
        // This connection wakes the thread that accepts connections. The thread then stops.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Reply,
}

impl Relay {
    fn connect(self: Arc<Self>, client: TcpStream) {
        // If the server is down, the proxy immediately closes the connection of the client.
        let Ok(server) = TcpStream::connect(("127.0.0.1", self.upstream.load(SeqCst))) else {
            return;
        };
        for (from, to, direction) in
            [(&client, &server, Direction::Request), (&server, &client, Direction::Reply)]
        {
            let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            to.set_nodelay(true).unwrap();
            let relay = Arc::clone(&self);
            thread::spawn(move || {
                let _ = relay.forward(&from, &to, direction);
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
        self.streams.lock().unwrap().extend([client, server]);
    }

    /// Forwards bytes in one direction until the client or the server closes its connection.
    fn forward(
        &self,
        mut from: &TcpStream,
        mut to: &TcpStream,
        direction: Direction,
    ) -> std::io::Result<()> {
        let mut random = SmallRng::seed_from_u64(self.accepted.load(SeqCst));
        let mut buffer = [0; 16 * 1024];
        loop {
            let length = from.read(&mut buffer)?;
            let bytes = &mut buffer[..length];
            if bytes.is_empty() {
                return Ok(());
            }
            let faults = self.wait_while_stalled(direction);
            let delay = faults.delay + faults.jitter.mul_f64(random.random());
            if !delay.is_zero() {
                thread::sleep(delay);
            }
            if direction == Direction::Reply && faults.corrupts_replies {
                bytes.fill(b'~');
            }
            if direction == Direction::Reply
                && let Some(length) = faults.truncates_replies_after
            {
                return to.write_all(&bytes[..length.min(bytes.len())]);
            }
            let step = if faults.splits_bytes { 1 } else { bytes.len() };
            bytes.chunks(step).try_for_each(|chunk| to.write_all(chunk))?;
        }
    }

    /// Waits until bytes in this direction may be forwarded, and returns the current faults.
    fn wait_while_stalled(&self, direction: Direction) -> NetworkFaults {
        loop {
            let faults = *self.faults.lock().unwrap();
            let is_stalled = match direction {
                Direction::Request => faults.stalls_requests,
                Direction::Reply => faults.stalls_replies,
            };
            if !is_stalled || self.is_stopped.load(SeqCst) {
                return faults;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}
