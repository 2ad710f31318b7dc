//! A TCP proxy that treats what it carries as a bad network does, or a bad proxy.

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
    carrier: Arc<Carrier>,
}

/// What is done to everything that is carried.
#[derive(Clone, Copy, Debug, Default)]
pub struct Treatment {
    /// It is late by so much …
    pub delay: Duration,
    /// … and by up to so much more.
    pub jitter: Duration,
    /// What the clients say goes no further, without a word to anybody.
    pub holds_requests: bool,
    /// The same with what the server says.
    pub holds_replies: bool,
    /// It goes on one byte at a time.
    pub is_bytewise: bool,
    /// After so many bytes of a reply, the connection ends.
    pub cuts_replies_after: Option<usize>,
    /// All bytes of a reply become another one.
    pub garbles_replies: bool,
}

struct Carrier {
    upstream: AtomicU16,
    treatment: Mutex<Treatment>,
    taken: AtomicU64,
    /// Both ends of every connection.
    streams: Mutex<Vec<TcpStream>>,
    is_over: AtomicBool,
}

impl Proxy {
    /// A proxy before the server at this port.
    pub fn to(upstream: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let carrier = Arc::new(Carrier {
            upstream: AtomicU16::new(upstream),
            treatment: Mutex::default(),
            taken: AtomicU64::new(0),
            streams: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let taking = Arc::clone(&carrier);
        thread::spawn(move || {
            for client in listener.incoming() {
                if taking.is_over.load(SeqCst) {
                    return;
                }
                taking.taken.fetch_add(1, SeqCst);
                Arc::clone(&taking).take(client.unwrap());
            }
        });
        Self { port, carrier }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        url(self.port)
    }

    /// From now on everything is treated so.
    pub fn treat(&self, treatment: Treatment) {
        *self.carrier.treatment.lock().unwrap() = treatment;
    }

    /// From now on everything is carried as it is.
    pub fn behave(&self) {
        self.treat(Treatment::default());
    }

    /// New connections lead to another server.
    pub fn lead_to(&self, upstream: u16) {
        self.carrier.upstream.store(upstream, SeqCst);
    }

    /// Ends all connections that there are.
    pub fn cut(&self) {
        for stream in self.carrier.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// How many connections it was asked for.
    pub fn connections(&self) -> u64 {
        self.carrier.taken.load(SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.carrier.is_over.store(true, SeqCst);
        self.cut();
        // So that it looks up.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Request,
    Reply,
}

impl Carrier {
    fn take(self: Arc<Self>, client: TcpStream) {
        // Without a server the client's connection ends at once.
        let Ok(server) = TcpStream::connect(("127.0.0.1", self.upstream.load(SeqCst))) else {
            return;
        };
        for (from, to, way) in [(&client, &server, Way::Request), (&server, &client, Way::Reply)] {
            let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            to.set_nodelay(true).unwrap();
            let carrier = Arc::clone(&self);
            thread::spawn(move || {
                let _ = carrier.carry(&from, &to, way);
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
        self.streams.lock().unwrap().extend([client, server]);
    }

    /// Carries one way until either end is gone.
    fn carry(&self, mut from: &TcpStream, mut to: &TcpStream, way: Way) -> std::io::Result<()> {
        let mut random = SmallRng::seed_from_u64(self.taken.load(SeqCst));
        let mut buffer = [0; 16 * 1024];
        loop {
            let length = from.read(&mut buffer)?;
            let said = &mut buffer[..length];
            if said.is_empty() {
                return Ok(());
            }
            let treatment = self.treatment_for(way);
            let late = treatment.delay + treatment.jitter.mul_f64(random.random());
            if !late.is_zero() {
                thread::sleep(late);
            }
            if way == Way::Reply && treatment.garbles_replies {
                said.fill(b'~');
            }
            if way == Way::Reply
                && let Some(length) = treatment.cuts_replies_after
            {
                return to.write_all(&said[..length.min(said.len())]);
            }
            let step = if treatment.is_bytewise { 1 } else { said.len() };
            said.chunks(step).try_for_each(|some| to.write_all(some))?;
        }
    }

    /// What is to be done, once something is to be done at all.
    fn treatment_for(&self, way: Way) -> Treatment {
        loop {
            let treatment = *self.treatment.lock().unwrap();
            let is_held = match way {
                Way::Request => treatment.holds_requests,
                Way::Reply => treatment.holds_replies,
            };
            if !is_held || self.is_over.load(SeqCst) {
                return treatment;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}
