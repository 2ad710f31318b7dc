//! A server of the storm.

use std::{
    fs,
    io::{BufRead, BufReader, Error, Result},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    time::Duration,
};

use super::{
    history::{Asked, Line, Request},
    load::Connection,
};

/// A server in a process of its own.
#[derive(Debug)]
pub struct Site {
    child: Child,
    /// It ends when this does.
    input: Option<ChildStdin>,
    port: u16,
    redis: u16,
    history: PathBuf,
}

impl Site {
    /// Starts this program as a server on the Redis at this port.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn start(
        program: &Path,
        redis: u16,
        mode: &str,
        deadline: Duration,
        history: PathBuf,
    ) -> Result<Self> {
        let mut child = Command::new(program)
            .args([&format!("redis://127.0.0.1:{redis}"), "storm", mode])
            .arg(deadline.as_millis().to_string())
            .arg(&history)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take();
        let mut line = String::new();
        let out = child.stdout.take().ok_or_else(|| Error::other("no output"))?;
        BufReader::new(out).read_line(&mut line)?;
        let port = line.trim().parse().map_err(Error::other)?;
        Ok(Self { child, input, port, redis, history })
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it looks for Redis.
    #[must_use]
    pub fn redis(&self) -> u16 {
        self.redis
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How often Redis has answered it.
    ///
    /// # Errors
    ///
    /// If it does not say.
    pub fn answers(&self) -> Result<u64> {
        let (_, count) = Connection::to(self.port)?.get("/answers", "Connection: close\r\n")?;
        count.parse().map_err(Error::other)
    }

    /// Ends it and reads what it has written down.
    ///
    /// # Errors
    ///
    /// If it has not ended well, or wrote something else.
    pub fn history(mut self) -> Result<(Vec<Asked>, Vec<Request>)> {
        drop(self.input.take());
        let status = self.child.wait()?;
        if !status.success() {
            return Err(Error::other(format!("a server ended with {status}")));
        }
        let (mut asked, mut requests) = (Vec::new(), Vec::new());
        for line in BufReader::new(fs::File::open(&self.history)?).lines() {
            let line = line?;
            match line.parse() {
                Ok(Line::Asked(one)) => asked.push(one),
                Ok(Line::Request(one)) => requests.push(one),
                Err(_) => return Err(Error::other(format!("no line of a history: {line}"))),
            }
        }
        Ok((asked, requests))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}
