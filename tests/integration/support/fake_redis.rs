//! A server that speaks as Redis does, and answers what a test says.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// The answer to a command, in the protocol of Redis.
type Answer = dyn Fn(&[String]) -> String + Send + Sync;

pub struct FakeRedis {
    port: u16,
    commands: Arc<Mutex<Vec<Vec<String>>>>,
}

impl FakeRedis {
    /// Takes connections from now on, and answers until the program ends.
    pub fn start(answer: impl Fn(&[String]) -> String + Send + Sync + 'static) -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").unwrap(), answer)
    }

    /// The same on a socket whose port is known already.
    pub fn listen(
        listener: TcpListener,
        answer: impl Fn(&[String]) -> String + Send + Sync + 'static,
    ) -> Self {
        let port = listener.local_addr().unwrap().port();
        let commands = Arc::<Mutex<Vec<_>>>::default();
        let (seen, answer): (_, Arc<Answer>) = (Arc::clone(&commands), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                thread::spawn(move || serve(stream.unwrap(), &seen, &*answer));
            }
        });
        Self { port, commands }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The commands so far, each with its arguments; a connection is the command `(connected)`.
    pub fn commands(&self) -> Vec<Vec<String>> {
        self.commands.lock().unwrap().clone()
    }

    /// Whether a command of this name has come.
    pub fn has(&self, name: &str) -> bool {
        self.commands().iter().any(|command| command[0] == name)
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<Vec<Vec<String>>>, answer: &Answer) {
    seen.lock().unwrap().push(vec!["(connected)".to_owned()]);
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(mut command) = read_command(&mut reader) {
        command[0] = command[0].to_uppercase();
        seen.lock().unwrap().push(command.clone());
        if stream.write_all(answer(&command).as_bytes()).is_err() {
            return;
        }
    }
}

/// An array of bulk strings.
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

/// A text as a bulk string.
pub fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}
