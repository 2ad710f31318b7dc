//! Starts and controls the process of an application server in a storm, which is a test that injects random
//! faults.

use std::{
    fs,
    io::{BufRead, BufReader, Error, Result},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    time::Duration,
};

use super::{
    history::{Record, Request, StoreCall},
    load::Connection,
};

/// The number of workers of an application server.
pub const WORKERS: usize = 2;

/// A running process of an application server.
#[derive(Debug)]
pub struct StormServer {
    child: Child,
    /// The standard input of the server. The server ends when this input is closed.
    input: Option<ChildStdin>,
    port: u16,
    redis: u16,
    history: PathBuf,
}

impl StormServer {
    /// Starts `program` as a server that connects to Redis at the port `redis`.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not start.
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

    /// The port on which the server accepts HTTP requests.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port to which the server connects for Redis. It belongs to Redis itself or to a proxy.
    #[must_use]
    pub fn redis(&self) -> u16 {
        self.redis
    }

    /// The id of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Requests the number of replies that the server has received from Redis.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not respond.
    pub fn store_replies(&self) -> Result<u64> {
        let (_, count) =
            Connection::to(self.port)?.get("/store_replies", "Connection: close\r\n")?;
        count.parse().map_err(Error::other)
    }

    /// Stops the server, and returns the history that it recorded.
    ///
    /// # Errors
    ///
    /// Returns an error if the server failed, or if its history is invalid.
    pub fn history(mut self) -> Result<(Vec<StoreCall>, Vec<Request>)> {
        drop(self.input.take());
        let status = self.child.wait()?;
        if !status.success() {
            return Err(Error::other(format!("a server ended with {status}")));
        }
        let (mut calls, mut requests) = (Vec::new(), Vec::new());
        for line in BufReader::new(fs::File::open(&self.history)?).lines() {
            let line = line?;
            match line.parse() {
                Ok(Record::StoreCall(call)) => calls.push(call),
                Ok(Record::Request(request)) => requests.push(request),
                Err(_) => return Err(Error::other(format!("invalid record: {line}"))),
            }
        }
        Ok((calls, requests))
    }
}

impl Drop for StormServer {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}
