//! A small HTTP/1.1 server that can inject faults.

use std::{
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// The fault that the server injects when it receives an HTTP request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The server responds at once.
    None,
    /// The server responds after this delay.
    Slow(Duration),
    /// The server does not respond, and waits until the client closes the connection.
    Hang,
    /// The server closes the connection and sends no response.
    Close,
    /// The server sends these bytes instead of its response.
    Send(String),
}

/// An HTTP request.
#[derive(Debug)]
pub struct Request {
    /// The request line, which consists of the method, the path and the version.
    pub line: String,
    fields: Vec<(String, String)>,
    /// The body of the request. It is empty if the request has no `Content-Length`.
    pub body: Vec<u8>,
}

impl Request {
    /// Returns the value of a header field. Returns `None` if the request does not have the field exactly once.
    /// `name` must be in lower case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(field, _)| field == name);
        values.next().filter(|_| values.next().is_none()).map(|(_, value)| &**value)
    }

    fn read(stream: &mut impl BufRead) -> io::Result<Self> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let field = |line: &String| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        let invalid = || io::Error::from(ErrorKind::InvalidData);
        let (line, fields) = lines.split_first().ok_or_else(invalid)?;
        let fields = fields.iter().map(field).collect::<Option<_>>().ok_or_else(invalid)?;
        let mut request = Self { line: line.clone(), fields, body: Vec::new() };
        let length = request.field("content-length").unwrap_or("0").parse();
        request.body.resize(length.map_err(|_| invalid())?, 0);
        stream.read_exact(&mut request.body)?;
        Ok(request)
    }
}

/// Formats an HTTP response. Each header field in `fields` must end with CRLF.
#[must_use]
pub fn response(status: &str, fields: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// A server on a port of 127.0.0.1. It stops when this value is dropped.
pub struct HttpServer {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    tls: Option<Arc<ServerConfig>>,
    handler: Box<dyn Fn(&Request) -> String + Send + Sync>,
    fault: Mutex<Fault>,
    is_stopped: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
    open: AtomicUsize,
    aborted: AtomicUsize,
}

impl HttpServer {
    /// Starts a server on this port of 127.0.0.1, with TLS if `tls` is set. `handler` returns the complete response.
    ///
    /// # Errors
    ///
    /// Returns an error if another process uses the port.
    pub fn start_at(
        port: u16,
        tls: Option<ServerConfig>,
        handler: impl Fn(&Request) -> String + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        let shared = Arc::new(Shared {
            tls: tls.map(Arc::new),
            handler: Box::new(handler),
            fault: Mutex::new(Fault::None),
            is_stopped: AtomicBool::new(false),
            streams: Mutex::default(),
            open: AtomicUsize::new(0),
            aborted: AtomicUsize::new(0),
        });
        let server = Self { port, shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.is_stopped.load(SeqCst) {
                    return;
                }
                // A client may close its connection at any time, even before the server accepts it.
                let Ok(stream) = stream else { continue };
                let Ok(handle) = stream.try_clone() else { continue };
                shared.streams.lock().unwrap_or_else(PoisonError::into_inner).push(handle);
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    shared.open.fetch_add(1, SeqCst);
                    // A client may close its connection at any time, so an error of the connection is ignored.
                    let _ = shared.serve(&stream);
                    let _ = stream.shutdown(Shutdown::Both);
                    shared.open.fetch_sub(1, SeqCst);
                });
            }
        });
        Ok(server)
    }

    /// The port of the server.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sets the fault that applies to all HTTP requests after this call.
    pub fn set_fault(&self, fault: Fault) {
        *self.shared.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// Returns the number of connections that the server has accepted until now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.streams.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Returns the number of connections that are open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.open.load(SeqCst)
    }

    /// Returns the number of connections that clients closed while the fault was [`Fault::Hang`].
    #[must_use]
    pub fn aborted(&self) -> usize {
        self.shared.aborted.load(SeqCst)
    }

    /// Closes all open connections. The server still accepts new connections.
    pub fn disconnect(&self) {
        for stream in &*self.shared.streams.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, SeqCst);
        self.disconnect();
        // This connection wakes the thread that accepts connections. The thread then stops.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let Some(tls) = self.tls.clone() else { return self.handle_requests(stream) };
        let session = ServerConnection::new(tls).map_err(io::Error::other)?;
        self.handle_requests(StreamOwned::new(session, stream))
    }

    fn handle_requests(&self, stream: impl Read + Write) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let request = Request::read(&mut stream)?;
            let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let response = match fault {
                Fault::None => (self.handler)(&request),
                Fault::Slow(delay) => {
                    thread::sleep(delay);
                    (self.handler)(&request)
                }
                Fault::Send(text) => text,
                Fault::Close => return Ok(()),
                Fault::Hang => {
                    let _ = stream.read(&mut [0]);
                    self.aborted.fetch_add(1, SeqCst);
                    return Ok(());
                }
            };
            stream.get_mut().write_all(response.as_bytes())?;
        }
    }
}
