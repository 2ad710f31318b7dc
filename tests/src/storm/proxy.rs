//! A way to Redis that is slow, stands still, or breaks off in the middle of a reply.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

/// How what comes is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// At once.
    Clear,
    /// So much later, in either direction.
    Slow(Duration),
    /// Not at all; connections stay, and what comes is passed on later.
    Still,
    /// Of each reply the first bytes, and then the connection ends.
    CutsReplies,
    /// Connections end at once.
    Closed,
}

/// How often a way that stands still is looked at again.
const LOOK: Duration = Duration::from_millis(5);

/// A proxy on a port of its own. It lives as long as the process.
#[derive(Clone, Debug)]
pub struct Proxy {
    port: u16,
    way: Arc<Mutex<Way>>,
}

impl Proxy {
    /// To the server at this port.
    ///
    /// # Errors
    ///
    /// If there is no port for it.
    pub fn start(to: u16) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let proxy = Self { port, way: Arc::new(Mutex::new(Way::Clear)) };
        let lent = proxy.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let proxy = lent.clone();
                // Its thread, as a way that is still lets nobody connect.
                thread::spawn(move || proxy.connect(client, to));
            }
        });
        Ok(proxy)
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How it is from now on.
    pub fn set(&self, way: Way) {
        *self.way.lock().unwrap_or_else(PoisonError::into_inner) = way;
    }

    /// How it is, once it does not stand still.
    fn way(&self) -> Way {
        loop {
            match *self.way.lock().unwrap_or_else(PoisonError::into_inner) {
                Way::Still => {}
                way => return way,
            }
            thread::sleep(LOOK);
        }
    }

    fn connect(&self, client: TcpStream, to: u16) {
        let server = || TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], to)));
        if self.way() == Way::Closed {
            return;
        }
        let Ok(server) = server() else { return };
        let (Ok(from_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else {
            return;
        };
        let proxy = self.clone();
        thread::spawn(move || proxy.pass_on(from_client, to_server, false));
        self.pass_on(server, client, true);
    }

    /// Passes on what comes until either side ends, or the way does.
    fn pass_on(&self, mut from: TcpStream, mut to: TcpStream, are_replies: bool) {
        let _ = (to.set_nodelay(true), from.set_read_timeout(Some(LOOK)));
        let mut bytes = [0; 16 * 1024];
        loop {
            let count = match from.read(&mut bytes) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    if self.way() == Way::Closed {
                        break;
                    }
                    continue;
                }
                Err(_) => break,
            };
            let cut = match self.way() {
                Way::Closed => break,
                Way::Slow(by) => {
                    thread::sleep(by);
                    count
                }
                Way::CutsReplies if are_replies => count / 2,
                _ => count,
            };
            if to.write_all(&bytes[..cut]).is_err() || cut < count {
                break;
            }
        }
        let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
    }
}
