//! A TCP proxy that delays all bytes without limiting the throughput. It runs on two threads of this process.

use std::{
    collections::HashMap,
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, Waker, net::TcpListener};

use crate::{BenchResult, precise_sleep};

const LISTENER: Token = Token(0);
/// The token of the event that ends the proxy.
const END: Token = Token(1);
const FIRST_STREAM: usize = 2;
const CHUNK: usize = 64 * 1024;
/// The interval of attempts to write to a full send buffer.
const RETRY: Duration = Duration::from_micros(50);

/// A proxy that ends when this value is dropped.
pub struct DelayProxy {
    address: SocketAddr,
    end: Waker,
}

/// Bytes that are due at a time. No bytes mean that the stream ends.
struct Delayed {
    due: Instant,
    bytes: Vec<u8>,
    to: Arc<TcpStream>,
}

/// A stream, and the stream to which its bytes go.
struct Side {
    from: mio::net::TcpStream,
    to: Arc<TcpStream>,
}

struct Reader {
    poll: Poll,
    listener: TcpListener,
    server: SocketAddr,
    delay: Duration,
    sides: HashMap<Token, Side>,
    next: usize,
    queue: mpsc::Sender<Delayed>,
}

impl DelayProxy {
    /// Starts a proxy in front of this server. It delays each direction by half of `round_trip`.
    ///
    /// # Errors
    ///
    /// If no port is free.
    pub fn start(server: SocketAddr, round_trip: Duration) -> BenchResult<Self> {
        let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let end = Waker::new(poll.registry(), END)?;
        let address = listener.local_addr()?;
        let (queue, delayed) = mpsc::channel();
        let (sides, delay) = (HashMap::new(), round_trip / 2);
        let reader = Reader { poll, listener, server, delay, sides, next: FIRST_STREAM, queue };
        // A proxy that ends early makes the measurement fail, because the server loses its connections.
        thread::spawn(move || reader.run().is_ok());
        thread::spawn(move || write_all_due(&delayed));
        Ok(Self { address, end })
    }

    /// The address of the proxy.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for DelayProxy {
    fn drop(&mut self) {
        let _ = self.end.wake();
    }
}

impl Reader {
    fn run(mut self) -> io::Result<()> {
        let (mut events, mut chunk) = (Events::with_capacity(256), vec![0; CHUNK]);
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            }
            for event in &events {
                match event.token() {
                    END => return Ok(()),
                    LISTENER => self.accept_all()?,
                    token => self.read_all(token, &mut chunk),
                }
            }
        }
    }

    fn accept_all(&mut self) -> io::Result<()> {
        loop {
            match self.listener.accept() {
                Ok((client, _)) => {
                    let server = TcpStream::connect(self.server)?;
                    let client = TcpStream::from(client);
                    server.set_nonblocking(true)?;
                    let (to_server, to_client) =
                        (Arc::new(server.try_clone()?), Arc::new(client.try_clone()?));
                    self.add(client, to_server)?;
                    self.add(server, to_client)?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn add(&mut self, from: TcpStream, to: Arc<TcpStream>) -> io::Result<()> {
        from.set_nodelay(true)?;
        let mut from = mio::net::TcpStream::from_std(from);
        let token = Token(self.next);
        self.next += 1;
        self.poll.registry().register(&mut from, token, Interest::READABLE)?;
        self.sides.insert(token, Side { from, to });
        Ok(())
    }

    /// Reads until no bytes are available, because `mio` reports each change once.
    fn read_all(&mut self, token: Token, chunk: &mut [u8]) {
        let Some(side) = self.sides.get_mut(&token) else { return };
        loop {
            let read = match side.from.read(chunk) {
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // The stream has ended.
                Err(_) => 0,
            };
            let (due, bytes, to) =
                (Instant::now() + self.delay, chunk[..read].to_vec(), side.to.clone());
            // The writer ends only after this thread.
            let _ = self.queue.send(Delayed { due, bytes, to });
            if read == 0 {
                self.sides.remove(&token);
                return;
            }
        }
    }
}

/// Writes all bytes when they are due. All have the same delay, so they are due in the order of the queue.
fn write_all_due(queue: &mpsc::Receiver<Delayed>) {
    precise_sleep::prepare_this_thread();
    for Delayed { due, bytes, to } in queue {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if bytes.is_empty() || write(&to, &bytes).is_err() {
            // Both directions end, so that the other stream is closed, too.
            let _ = to.shutdown(Shutdown::Both);
        }
    }
}

fn write(mut to: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
