//! Starts and controls the process of an application server in a storm, which is a test that injects random
//! faults.

use std::{
    io::{BufRead, BufReader, Error, Result},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    time::Duration,
};

use super::{defect::Defect, load::Connection, now, process_signal, server_records::ServerRecords};

/// The number of workers of an application server.
pub const WORKERS: usize = 2;

/// The settings with which a server starts.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// The program.
    pub program: PathBuf,
    /// The port to which the server connects for Redis. It belongs to Redis itself or to a proxy.
    pub redis: u16,
    /// The failure mode: `open`, `closed` or `local`.
    pub mode: &'static str,
    /// The deadline of checks.
    pub deadline: Duration,
    /// The number of servers that share the limits.
    pub servers: usize,
    /// The mistake that the server makes.
    pub defect: Defect,
}

/// A running process of an application server.
#[derive(Debug)]
pub struct StormServer {
    child: Child,
    /// The standard input of the server. The server ends when this input is closed.
    input: Option<ChildStdin>,
    port: u16,
    redis: u16,
    history: PathBuf,
    killed_at: Option<u64>,
}

impl StormServer {
    /// Starts a server that writes its history into the file `history`.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not start.
    pub fn start(settings: &ServerSettings, history: PathBuf) -> Result<Self> {
        let mut child = Command::new(&settings.program)
            .args([&format!("redis://127.0.0.1:{}", settings.redis), "storm", settings.mode])
            .arg(settings.deadline.as_millis().to_string())
            .arg(&history)
            .args([&settings.servers.to_string(), settings.defect.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take();
        let mut line = String::new();
        let out = child.stdout.take().ok_or_else(|| Error::other("no output"))?;
        BufReader::new(out).read_line(&mut line)?;
        let port = line.trim().parse().map_err(Error::other)?;
        Ok(Self { child, input, port, redis: settings.redis, history, killed_at: None })
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

    /// Stops the process with SIGSTOP.
    pub fn freeze(&self) {
        process_signal::freeze(self.id());
    }

    /// Resumes the process after a call of [`freeze`](Self::freeze).
    pub fn resume(&self) {
        process_signal::resume(self.id());
    }

    /// Kills the process with SIGKILL.
    ///
    /// # Errors
    ///
    /// Returns an error if the process cannot be killed.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        self.killed_at = Some(now());
        Ok(())
    }

    /// The time at which the server was killed, in microseconds since 1970. `None` if it was not killed.
    #[must_use]
    pub fn killed_at(&self) -> Option<u64> {
        self.killed_at
    }

    /// Stops the server, and returns the history that it recorded.
    ///
    /// # Errors
    ///
    /// Returns an error if the server failed, or if its history is invalid.
    pub fn records(mut self) -> Result<ServerRecords> {
        drop(self.input.take());
        let status = self.child.wait()?;
        if !status.success() && self.killed_at.is_none() {
            return Err(Error::other(format!("a server ended with {status}")));
        }
        ServerRecords::read(&self.history, self.killed_at)
    }
}

impl Drop for StormServer {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}
