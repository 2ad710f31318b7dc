//! A TCP server that reads Redis commands. A test chooses the replies of the server.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// A function that returns the reply to a command, in the Redis protocol (RESP2).
type Handler = dyn Fn(&[String]) -> String + Send + Sync;

pub struct FakeRedis {
    port: u16,
    commands: Arc<Mutex<Vec<Vec<String>>>>,
}

impl FakeRedis {
    /// Starts a server on a free port. The server runs until the test program ends.
    pub fn start(handler: impl Fn(&[String]) -> String + Send + Sync + 'static) -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").unwrap(), handler)
    }

    /// Starts a server on a socket that already exists. This is for tests that must know the port before the server
    /// starts.
    pub fn listen(
        listener: TcpListener,
        handler: impl Fn(&[String]) -> String + Send + Sync + 'static,
    ) -> Self {
        let port = listener.local_addr().unwrap().port();
        let commands = Arc::<Mutex<Vec<_>>>::default();
        let (received, handler): (_, Arc<Handler>) = (Arc::clone(&commands), Arc::new(handler));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (received, handler) = (Arc::clone(&received), Arc::clone(&handler));
                thread::spawn(move || serve(stream.unwrap(), &received, &*handler));
            }
        });
        Self { port, commands }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns all received commands with their arguments. A new connection appears as the command `(connected)`.
    pub fn commands(&self) -> Vec<Vec<String>> {
        self.commands.lock().unwrap().clone()
    }

    /// Returns whether the server has received a command with this name.
    pub fn has(&self, name: &str) -> bool {
        self.commands().iter().any(|command| command[0] == name)
    }
}

fn serve(mut stream: TcpStream, received: &Mutex<Vec<Vec<String>>>, handler: &Handler) {
    received.lock().unwrap().push(vec!["(connected)".to_owned()]);
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(mut command) = read_command(&mut reader) {
        command[0] = command[0].to_uppercase();
        received.lock().unwrap().push(command.clone());
        if stream.write_all(handler(&command).as_bytes()).is_err() {
            return;
        }
    }
}

/// Reads a command, which is an array of bulk strings. Returns `None` if the connection has ended.
fn read_command(reader: &mut impl BufRead) -> Option<Vec<String>> {
    let parts = read_number(reader, '*')?;
    let part = |_| {
        let mut bytes = vec![0; read_number(reader, '$')? + 2];
        reader.read_exact(&mut bytes).ok()?;
        bytes.truncate(bytes.len() - 2);
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    (0..parts).map(part).collect()
}

fn read_number(reader: &mut impl BufRead, kind: char) -> Option<usize> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    line.trim_end().strip_prefix(kind)?.parse().ok()
}

/// Encodes a text as a bulk string.
pub fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}
