//! An HTTP server of a few lines, for a client that is to be disappointed.

use std::{
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What it does instead of answering, or before that.
#[derive(Clone)]
pub enum Fault {
    None,
    Slow(Duration),
    /// It says nothing, until the client hangs up.
    Hang,
    /// It closes the connection.
    Close,
    /// It says this.
    Say(String),
}

pub struct Request {
    /// Method, path and version.
    pub line: String,
    fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// The value of a field that is there once.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(known, _)| known == name);
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
        let fields = lines[1..].iter().map(field).collect::<Option<_>>();
        let mut request = Self { line: lines.remove(0), fields: fields.unwrap(), body: Vec::new() };
        let length = request.field("content-length").map_or(0, |it| it.parse().unwrap());
        request.body.resize(length, 0);
        stream.read_exact(&mut request.body)?;
        Ok(request)
    }
}

pub fn response(status: &str, fields: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
}

pub struct HttpServer {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    tls: Option<Arc<ServerConfig>>,
    answer: Box<dyn Fn(&Request) -> String + Send + Sync>,
    fault: Mutex<Fault>,
    is_gone: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
    open: AtomicUsize,
    given_up: AtomicUsize,
}

impl HttpServer {
    pub fn start_at(
        port: u16,
        tls: Option<ServerConfig>,
        answer: impl Fn(&Request) -> String + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let shared = Arc::new(Shared {
            tls: tls.map(Arc::new),
            answer: Box::new(answer),
            fault: Mutex::new(Fault::None),
            is_gone: AtomicBool::new(false),
            streams: Mutex::default(),
            open: AtomicUsize::new(0),
            given_up: AtomicUsize::new(0),
        });
        let server = Self { port, shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for stream in listener.incoming().map(Result::unwrap) {
                if shared.is_gone.load(SeqCst) {
                    return;
                }
                shared.streams.lock().unwrap().push(stream.try_clone().unwrap());
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    shared.open.fetch_add(1, SeqCst);
                    // Clients come and go.
                    let _ = shared.serve(&stream);
                    let _ = stream.shutdown(Shutdown::Both);
                    shared.open.fetch_sub(1, SeqCst);
                });
            }
        });
        server
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// From the next request on.
    pub fn set(&self, fault: Fault) {
        *self.shared.fault.lock().unwrap() = fault;
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.shared.streams.lock().unwrap().len()
    }

    /// How many there are.
    pub fn open(&self) -> usize {
        self.shared.open.load(SeqCst)
    }

    /// How many clients hung up while it said nothing.
    pub fn given_up(&self) -> usize {
        self.shared.given_up.load(SeqCst)
    }

    /// Ends all connections, and accepts others as before.
    pub fn disconnect(&self) {
        for stream in &*self.shared.streams.lock().unwrap() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.shared.is_gone.store(true, SeqCst);
        self.disconnect();
        // It waits for another.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let Some(tls) = self.tls.clone() else { return self.answer_all(stream) };
        let session = ServerConnection::new(tls).map_err(io::Error::other)?;
        self.answer_all(StreamOwned::new(session, stream))
    }

    fn answer_all(&self, stream: impl Read + Write) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let request = Request::read(&mut stream)?;
            let fault = self.fault.lock().unwrap().clone();
            let answer = match fault {
                Fault::None => (self.answer)(&request),
                Fault::Slow(time) => {
                    thread::sleep(time);
                    (self.answer)(&request)
                }
                Fault::Say(text) => text,
                Fault::Close => return Ok(()),
                Fault::Hang => {
                    let _ = stream.read(&mut [0]);
                    self.given_up.fetch_add(1, SeqCst);
                    return Ok(());
                }
            };
            stream.get_mut().write_all(answer.as_bytes())?;
        }
    }
}
