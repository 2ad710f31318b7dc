//! A TCP proxy in front of Redis. The proxy can delay data, stall, cut replies, or close connections.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

/// The way in which the proxy forwards data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyMode {
    /// Forwards data immediately.
    Forward,
    /// Forwards the data of each direction after this delay.
    Delay(Duration),
    /// Forwards no data until the mode changes. Connections stay open.
    Stall,
    /// Forwards the first half of a reply and then closes the connection.
    CutReplies,
    /// Closes all connections.
    Close,
}

/// The interval at which a stalled or idle proxy checks whether its mode has changed.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A proxy that listens on a free port. It runs until the process ends.
#[derive(Clone, Debug)]
pub struct Proxy {
    port: u16,
    mode: Arc<Mutex<ProxyMode>>,
}

impl Proxy {
    /// Starts a proxy to the server at this port.
    ///
    /// # Errors
    ///
    /// Returns an error if no port is free.
    pub fn start(to: u16) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let proxy = Self { port, mode: Arc::new(Mutex::new(ProxyMode::Forward)) };
        let accepting = proxy.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let proxy = accepting.clone();
                // A stalled connection blocks its thread, so each connection has its own thread.
                thread::spawn(move || proxy.connect(client, to));
            }
        });
        Ok(proxy)
    }

    /// The port on which the proxy listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sets the mode of the proxy.
    pub fn set(&self, mode: ProxyMode) {
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner) = mode;
    }

    /// Waits until the mode is not `Stall`, and returns that mode.
    fn wait_for_mode(&self) -> ProxyMode {
        loop {
            match *self.mode.lock().unwrap_or_else(PoisonError::into_inner) {
                ProxyMode::Stall => {}
                mode => return mode,
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    fn connect(&self, client: TcpStream, to: u16) {
        let server = || TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], to)));
        if self.wait_for_mode() == ProxyMode::Close {
            return;
        }
        let Ok(server) = server() else { return };
        let (Ok(from_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else {
            return;
        };
        let proxy = self.clone();
        thread::spawn(move || proxy.forward(from_client, to_server, false));
        self.forward(server, client, true);
    }

    /// Forwards data in one direction until one of the two sides closes the connection, or until the mode requires
    /// the proxy to close it.
    fn forward(&self, mut from: TcpStream, mut to: TcpStream, are_replies: bool) {
        let _ = (to.set_nodelay(true), from.set_read_timeout(Some(POLL_INTERVAL)));
        let mut bytes = [0; 16 * 1024];
        loop {
            let count = match from.read(&mut bytes) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    if self.wait_for_mode() == ProxyMode::Close {
                        break;
                    }
                    continue;
                }
                Err(_) => break,
            };
            let cut = match self.wait_for_mode() {
                ProxyMode::Close => break,
                ProxyMode::Delay(by) => {
                    thread::sleep(by);
                    count
                }
                ProxyMode::CutReplies if are_replies => count / 2,
                _ => count,
            };
            if to.write_all(&bytes[..cut]).is_err() || cut < count {
                break;
            }
        }
        let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
    }
}
