//! Starts and controls the process of an application server that is attacked.

use std::{
    env,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Command, Stdio},
    time::Duration,
};

use super::{AttackResult, limits::Limit, process::ChildProcess};
use crate::storm::load::Connection;

/// The setup of an application server.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// The argument that selects the store: `memory` or a URL.
    pub store: &'a str,
    /// The prefix of the keys in Redis.
    pub prefix: &'a str,
    /// The failure mode: `open`, `closed` or `local`.
    pub mode: &'a str,
    /// The number of servers that share the store.
    pub replicas: usize,
    /// The limit of the page that is attacked.
    pub limit: &'static Limit,
    /// The deadline of checks. `None` is the default deadline.
    pub deadline: Option<Duration>,
}

/// A server process that ends when this value is dropped.
#[derive(Debug)]
pub struct Server {
    process: ChildProcess,
    http1: SocketAddr,
    http2: SocketAddr,
}

/// The numbers of checks to which the store did not reply. There is one number for each way in which the guard can
/// handle the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// The number of requests that passed without a decision.
    pub open: u64,
    /// The number of requests that were rejected without a decision.
    pub closed: u64,
    /// The number of requests that the guard decided in its own memory, and not in the store.
    pub local: u64,
}

impl Server {
    /// Starts the program `attack_server`, which is in the same folder as this program.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not start.
    pub fn start(setup: Setup<'_>) -> AttackResult<Self> {
        let mut child = Command::new(env::current_exe()?.with_file_name("attack_server"))
            .args([setup.store, setup.prefix, setup.mode])
            .args([&setup.replicas.to_string(), setup.limit.name])
            .args(setup.deadline.map(|deadline| deadline.as_millis().to_string()))
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("no output")?;
        let process = ChildProcess(child);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let mut ports = line.split_whitespace().map(str::parse);
        let mut next = || -> AttackResult<SocketAddr> {
            Ok(SocketAddr::from(([127, 0, 0, 1], ports.next().ok_or("no port")??)))
        };
        let server = Self { process, http1: next()?, http2: next()? };
        Ok(server)
    }

    /// The address that accepts HTTP/1.1.
    #[must_use]
    pub fn http1(&self) -> SocketAddr {
        self.http1
    }

    /// The address that accepts HTTP/2 with prior knowledge, which means without an upgrade from HTTP/1.1.
    #[must_use]
    pub fn http2(&self) -> SocketAddr {
        self.http2
    }

    /// The CPU time that the process has used until now.
    ///
    /// # Errors
    ///
    /// Returns an error if the system does not report the CPU time.
    pub fn cpu(&self) -> AttackResult<Duration> {
        self.process.cpu()
    }

    /// Returns the number of failed checks that the server's guard has counted.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not respond.
    pub fn failures(&self) -> AttackResult<Failures> {
        let (_, text) = self.get("/failures")?;
        let mut counts = text.split_whitespace().map(str::parse);
        let mut next = || counts.next().ok_or("no count");
        Ok(Failures { open: next()??, closed: next()??, local: next()?? })
    }

    /// Sends a GET request, and returns the status and the body of the response.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no response.
    pub fn get(&self, path: &str) -> AttackResult<(u16, String)> {
        Ok(Connection::to(self.http1.port())?.get(path, "Connection: close\r\n")?)
    }
}

impl std::ops::Add for Failures {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            open: self.open + other.open,
            closed: self.closed + other.closed,
            local: self.local + other.local,
        }
    }
}

impl std::ops::Sub for Failures {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            open: self.open - other.open,
            closed: self.closed - other.closed,
            local: self.local - other.local,
        }
    }
}
